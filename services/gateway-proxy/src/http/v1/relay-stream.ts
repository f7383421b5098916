import { AppError, toAppError } from "@codex/kernel";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { MeteredRequest } from "../../app/metered-request.ts";
import { answerBytes, isDone, mayFinish, needsParsing } from "../../domain/chat-chunk.ts";
import { EventTooLarge, SseScanner, type SseEvent } from "../../domain/sse-scanner.ts";
import { tokensFromOpenAiUsage } from "../../domain/usage.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import { costFields, openAiUsage } from "./cost.ts";

/**
 * Passes a chat completion stream on, event by event, and charges it before its last byte. Each event is written anew as
 * one `data:` line, so that nothing in the upstream's bytes can become a field of ours (SEC-93). The last event that
 * carries usage is held back until the end is known, because the cost goes into it.
 */

const dataPrefix = Buffer.from("data: ");
const eventEnd = Buffer.from("\n\n");
const done = Buffer.from("data: [DONE]\n\n");
/** A client that takes nothing for this long is gone: its hold and its upstream connection are wanted elsewhere. */
const stalledReaderMsDefault = 120_000;

export async function relayStream(
  upstream: UpstreamResponse,
  request: MeteredRequest,
  res: ServerResponse,
  checkAlive: () => void,
  stalledReaderMs = stalledReaderMsDefault,
): Promise<void> {
  const relay = new StreamRelay(request, res);
  const scanner = new SseScanner();
  for await (const chunk of upstream.body as AsyncIterable<Buffer>) {
    checkAlive();
    for (const event of eventsOf(scanner, chunk)) {
      relay.event(event.data);
      if (relay.ended) break;
    }
    if (relay.ended) break;
    if (res.writableNeedDrain) await drained(res, stalledReaderMs);
  }
  relay.upstreamEnded();
}

function eventsOf(scanner: SseScanner, chunk: Buffer): SseEvent[] {
  try {
    return scanner.push(chunk);
  } catch (error) {
    throw error instanceof EventTooLarge ? cut(error) : error;
  }
}

/** Resolves when the client has read on, or is gone; one that does not read on is cut off. */
async function drained(res: ServerResponse, stalledReaderMs: number): Promise<void> {
  if (res.destroyed) return;
  const stop = new AbortController();
  const timer = setTimeout(() => res.destroy(), stalledReaderMs);
  await Promise.race([
    once(res, "drain", { signal: stop.signal }),
    once(res, "close", { signal: stop.signal }),
  ]).finally(() => {
    clearTimeout(timer);
    stop.abort();
  });
}

class StreamRelay {
  ended = false;
  private readonly request: MeteredRequest;
  private readonly res: ServerResponse;
  private heldBack: { readonly chunk: Record<string, unknown>; readonly believed: boolean } | undefined;
  private finishSeen = false;
  private head: { id: unknown; created: unknown; model: unknown } | undefined;

  constructor(request: MeteredRequest, res: ServerResponse) {
    this.request = request;
    this.res = res;
  }

  event(data: Buffer): void {
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

  /** Late, so that an upstream whose first word is an error can still be left for the next one. */
  private begin(): void {
    // Before the look at the headers: a comment may have sent those while the upstream was still thinking.
    this.request.firstByte();
    if (this.res.headersSent) return;
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
    if (chunk["usage"] == null) {
      this.forward(data);
      return;
    }
    const tokens = tokensFromOpenAiUsage(chunk["usage"]);
    if (tokens) this.request.usage = tokens;
    this.request.delivered(answerBytes(data));
    this.heldBack = { chunk, believed: tokens !== undefined };
  }

  private forward(data: Buffer): void {
    this.request.delivered(answerBytes(data));
    this.begin();
    this.res.write(Buffer.concat([dataPrefix, oneLine(data), eventEnd]));
    if (this.request.exhausted && !this.finishSeen) this.endAtHold();
  }

  /** The upstream does not keep to the bound it was given: the answer ends as one that reached its length. */
  private endAtHold(): void {
    const choices = [{ index: 0, delta: {}, finish_reason: "length" }];
    this.writeChunk({ ...this.head, object: "chat.completion.chunk", choices });
    this.finish();
  }

  private flushHeldBack(): void {
    if (!this.heldBack) return;
    const { chunk } = this.heldBack;
    this.heldBack = undefined;
    this.writeChunk({ ...chunk, usage: withoutCost(chunk["usage"]) });
  }

  private finish(): void {
    this.ended = true;
    const { charge } = this.request.close({ ending: "finished", httpStatus: 200, errorCode: null });
    const chunk = this.heldBack?.chunk ?? this.usageChunk();
    // What the charge was made from: the upstream's own object only when that is it.
    const usage = this.heldBack?.believed === true ? chunk["usage"] : openAiUsage(charge.tokens);
    const cost = costFields(charge, this.request.init.offer.priceVersion);
    this.writeChunk({ ...chunk, usage: { ...(usage as object), ...cost } });
    this.heldBack = undefined;
    this.res.end(done);
  }

  private usageChunk(): Record<string, unknown> {
    return { ...this.head, object: "chat.completion.chunk", choices: [] };
  }

  private writeChunk(chunk: Record<string, unknown>): void {
    this.begin();
    this.res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
}

/** Some upstreams say what the request cost us; that is not what it costs the customer. */
function withoutCost(usage: unknown): unknown {
  if (typeof usage !== "object" || usage === null || Array.isArray(usage)) return usage;
  return Object.fromEntries(Object.entries(usage).filter(([name]) => name !== "cost" && name !== "cost_details"));
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
