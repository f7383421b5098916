import { AppError, toAppError } from "@codex/kernel";
import type { MeteredRequest } from "../../app/metered-request.ts";
import { EventTooLarge, SseScanner, type SseEvent } from "../../domain/sse-scanner.ts";
import { parsedEvent, type Reading, type StreamState, type WireEvent } from "../../domain/stream-state.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import type { ClientStream } from "./client-stream.ts";
import { costFields } from "./cost.ts";
import { drained } from "./drained.ts";

/**
 * Passes a stream of events on and charges it before its last byte. Each event goes out as one `data:` line under a name of
 * ours, and nothing else, so that nothing in the upstream's bytes can become a field of ours (SEC-93); one that came in just this
 * form is not copied. What the events mean is the
 * dialect's own matter: see StreamState.
 */

/** The upstream's bytes as events of the endpoint's dialect. */
export interface EventSource {
  /** Throws EventTooLarge. */
  push(chunk: Buffer): readonly SseEvent[];
  /** The upstream's bytes are over. */
  end(): readonly SseEvent[];
  /** What the upstream itself told of its use, where the events' own words are not it. */
  counts?(): Pick<Reading, "usage" | "prompt">;
}

/** The bytes of an upstream that speaks the dialect. */
export function nativeEvents({ eventBytesMax }: StreamState): EventSource {
  const scanner = new SseScanner(eventBytesMax);
  return { push: (chunk) => scanner.push(chunk), end: () => [] };
}

const dataPrefix = Buffer.from("data: ");
const eventEnd = Buffer.from("\n\n");

/** All bytes of one stream: far above the longest answer, so that an endless one ends (SEC-94). */
const streamBytesMax = 1_073_741_824;

export async function relayStream(
  upstream: UpstreamResponse,
  state: StreamState,
  source: EventSource,
  request: MeteredRequest,
  client: ClientStream,
  checkAlive: () => void,
  stalledReaderMs: number,
): Promise<void> {
  const relay = new StreamRelay(state, source, request, client);
  const { body } = upstream;
  let bytes = 0;
  try {
    for (;;) {
      const piece = body.take();
      if (!piece) {
        if (await body.more()) continue;
        break;
      }
      checkAlive();
      bytes += piece.length;
      if (bytes > streamBytesMax) throw cut();
      relay.events(eventsOf(source, piece));
      if (relay.ended) break;
      if (client.res.writableNeedDrain) await drained(client.res, stalledReaderMs);
    }
    relay.events(source.end());
    relay.upstreamEnded();
  } catch (error) {
    body.destroy();
    throw error;
  }
  if (relay.cancelled) body.destroy();
  else body.discard();
}

function eventsOf(source: EventSource, chunk: Buffer): readonly SseEvent[] {
  try {
    return source.push(chunk);
  } catch (error) {
    throw error instanceof EventTooLarge ? cut(error) : error;
  }
}

class StreamRelay {
  ended = false;
  /** The upstream is not done, and is to stop. */
  cancelled = false;
  /** Of one piece of the upstream's: they go out together. */
  private pieces: Buffer[] = [];
  /** Events that follow one another in the upstream's bytes as they are to go out. */
  private run: { readonly bytes: Buffer; readonly from: number; to: number } | undefined;
  private readonly state: StreamState;
  private readonly source: EventSource;
  private readonly request: MeteredRequest;
  private readonly client: ClientStream;

  constructor(state: StreamState, source: EventSource, request: MeteredRequest, client: ClientStream) {
    this.state = state;
    this.source = source;
    this.request = request;
    this.client = client;
  }

  /** None after the answer has ended. */
  events(events: readonly SseEvent[]): void {
    try {
      for (const event of events) {
        if (this.ended) return;
        this.event(event);
      }
    } finally {
      this.flush();
      this.request.progress();
    }
  }

  private event(event: SseEvent): void {
    const reading = this.state.read(event);
    const counts = this.source.counts?.() ?? reading;
    this.note(reading, counts);
    if (reading.out) for (const out of reading.out) this.write(out);
    if (reading.passAs !== undefined) this.pass(event, reading.passAs);
    if (reading.failed) throw cut();
    if (reading.end) this.finish();
    else if (this.request.exhausted && !this.state.whole) this.endAtHold();
  }

  /** The upstream's bytes are over: an end, if the answer was finished, else a cut, which is an error of its own. */
  upstreamEnded(): void {
    if (this.ended) return;
    if (!this.state.whole) throw cut();
    this.finish();
  }

  private note({ images, audioMs, answerBytes }: Reading, { usage, prompt }: Pick<Reading, "usage" | "prompt">): void {
    const { request } = this;
    if (usage) request.usage = usage;
    if (prompt) request.prompt = prompt;
    if (images) {
      const count = (request.images?.count ?? 0) + images.count;
      request.images = { count, variant: images.variant };
    }
    if (audioMs !== undefined) request.audioMs = audioMs;
    if (answerBytes !== undefined) request.delivered(answerBytes);
  }

  private endAtHold(): void {
    this.cancelled = true;
    for (const out of this.state.stopAtHold()) this.write(out);
    this.finish();
  }

  private finish(): void {
    this.ended = true;
    const { charge } = this.request.close({ ending: "finished", httpStatus: 200, errorCode: null });
    const cost = costFields(charge, this.request.init.offer.priceVersion);
    const reported = this.request.usage !== undefined;
    for (const out of this.state.ending({ tokens: charge.tokens, reported, cost })) this.write(out);
    this.flush();
    this.client.end();
  }

  /** The head goes out with the first event, so that an upstream whose first word is an error can still be left. */
  private write({ name, data }: WireEvent): void {
    this.request.firstByte();
    const head = name === undefined ? dataPrefix : Buffer.from(`event: ${name}\ndata: `);
    const bytes = typeof data === "string" ? Buffer.from(escapedBreaks(data)) : oneLine(data);
    this.endRun();
    this.pieces.push(head, bytes, eventEnd);
  }

  /** An event that stands in the upstream's bytes just as it would be written is not copied. */
  private pass(event: SseEvent, name: string): void {
    const { bytes, wireFrom, wireTo } = event;
    if (wireFrom < 0 || name !== event.name) {
      this.write({ name: name === "" ? undefined : name, data: event.data });
      return;
    }
    this.request.firstByte();
    if (this.run?.bytes === bytes && this.run.to === wireFrom) {
      this.run.to = wireTo;
      return;
    }
    this.endRun();
    this.run = { bytes, from: wireFrom, to: wireTo };
  }

  private endRun(): void {
    if (!this.run) return;
    const { bytes, from, to } = this.run;
    this.run = undefined;
    this.pieces.push(bytes.subarray(from, to));
  }

  private flush(): void {
    this.endRun();
    const { pieces } = this;
    const [first] = pieces;
    if (!first) return;
    this.pieces = [];
    this.client.write(pieces.length === 1 ? first : Buffer.concat(pieces));
  }
}

/** Some readers end a line at Unicode's separators too; in JSON they can be escaped. */
function escapedBreaks(json: string): string {
  return json.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Several data lines of one event are JSON with line breaks between its tokens; written as one line. */
function oneLine(data: Buffer): Buffer {
  if (!data.includes(0x0a)) return data;
  const event = parsedEvent(data);
  if (!event) throw cut();
  return Buffer.from(escapedBreaks(JSON.stringify(event)));
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
