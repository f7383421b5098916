import { AppError, toAppError } from "@codex/kernel";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { MeteredRequest } from "../../app/metered-request.ts";
import { answerBytes, isDone, mayFinish, needsParsing } from "../../domain/chat-chunk.ts";
import { SseScanner } from "../../domain/sse-scanner.ts";
import { tokensFromOpenAiUsage } from "../../domain/usage.ts";
import type { UpstreamResponse } from "../../upstream/openai.ts";
import { costFields, openAiUsage } from "./cost.ts";

/**
 * Passes a chat completion stream on, event by event, and charges it before its last byte. Each event is written anew as
 * one `data:` line, so that nothing in the upstream's bytes can become a field of ours (SEC-93). The last event that
 * carries usage is held back until the end is known, because the cost goes into it.
 */

const dataPrefix = Buffer.from("data: ");
const eventEnd = Buffer.from("\n\n");
const done = Buffer.from("data: [DONE]\n\n");

export async function relayStream(
  upstream: UpstreamResponse,
  request: MeteredRequest,
  res: ServerResponse,
  checkAlive: () => void,
): Promise<void> {
  const relay = new StreamRelay(request, res);
  const scanner = new SseScanner();
  for await (const chunk of upstream.body as AsyncIterable<Buffer>) {
    checkAlive();
    for (const event of scanner.push(chunk)) {
      relay.event(event.data);
      if (relay.ended) break;
    }
    if (relay.ended) break;
    if (res.writableNeedDrain) await drained(res);
  }
  relay.upstreamEnded();
}

/** Resolves when the client has read on, or is gone. */
async function drained(res: ServerResponse): Promise<void> {
  if (res.destroyed) return;
  const stop = new AbortController();
  await Promise.race([
    once(res, "drain", { signal: stop.signal }),
    once(res, "close", { signal: stop.signal }),
  ]).finally(() => stop.abort());
}

class StreamRelay {
  ended = false;
  private readonly request: MeteredRequest;
  private readonly res: ServerResponse;
  private heldBack: Record<string, unknown> | undefined;
  private finishSeen = false;
  private head: { id: unknown; created: unknown; model: unknown } | undefined;

  constructor(request: MeteredRequest, res: ServerResponse) {
    this.request = request;
    this.res = res;
  }

  event(data: Buffer): void {
    if (!this.res.headersSent) this.begin();
    if (isDone(data)) {
      this.finish();
      return;
    }
    this.flushHeldBack();
    this.finishSeen ||= mayFinish(data);
    if (!this.head || needsParsing(data)) {
      this.parsed(data);
      return;
    }
    this.forward(data);
  }

  /** The upstream's bytes are over: an end, if the answer was finished, else a cut, which is an error of its own. */
  upstreamEnded(): void {
    if (this.ended) return;
    if (this.finishSeen) {
      this.finish();
      return;
    }
    throw cut();
  }

  private begin(): void {
    this.request.firstByte();
    this.res.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
  }

  private parsed(data: Buffer): void {
    const chunk = parseObject(data);
    this.head ??= { id: chunk["id"], created: chunk["created"], model: chunk["model"] };
    if (chunk["error"] != null) throw cut();
    const tokens = tokensFromOpenAiUsage(chunk["usage"]);
    if (tokens) this.request.usage = tokens;
    if (chunk["usage"] == null) {
      this.forward(data);
      return;
    }
    this.request.delivered(answerBytes(data));
    this.heldBack = chunk;
  }

  private forward(data: Buffer): void {
    this.request.delivered(answerBytes(data));
    this.res.write(Buffer.concat([dataPrefix, oneLine(data), eventEnd]));
  }

  private flushHeldBack(): void {
    if (!this.heldBack) return;
    this.writeChunk(this.heldBack);
    this.heldBack = undefined;
  }

  private finish(): void {
    this.ended = true;
    const { charge } = this.request.close({ ending: "finished", httpStatus: 200, errorCode: null });
    const chunk = this.heldBack ?? this.usageChunk();
    const usage = this.request.usage ? chunk["usage"] : openAiUsage(charge.tokens);
    const cost = costFields(charge, this.request.init.offer.priceVersion);
    this.writeChunk({ ...chunk, usage: { ...(usage as object), ...cost } });
    this.heldBack = undefined;
    this.res.end(done);
  }

  private usageChunk(): Record<string, unknown> {
    return { ...this.head, object: "chat.completion.chunk", choices: [], usage: {} };
  }

  private writeChunk(chunk: Record<string, unknown>): void {
    this.res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
}

function parseObject(data: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw cut(error);
  }
  throw cut();
}

/** Several data lines of one event are JSON with line breaks between its tokens; written as one line. */
function oneLine(data: Buffer): Buffer {
  return data.includes(0x0a) ? Buffer.from(JSON.stringify(parseObject(data))) : data;
}

function cut(cause?: unknown): AppError {
  return new AppError({
    kind: "upstream",
    code: "stream_interrupted",
    publicMessage:
      "The model's provider broke off in the middle of the answer. You are charged for what was delivered, at most.",
    ...(cause === undefined ? {} : { cause: toAppError(cause) }),
  });
}
