import { setImmediate as nextTurn } from "node:timers/promises";
import type { Fault } from "./faults.ts";
import type { Exchange } from "./http/exchange.ts";
import type { Frame } from "./http/sse.ts";
import { plainMs, type Pace } from "./pace.ts";

/** Puts answers on the wire: their pacing, and the faults that happen there. */

type Json = Readonly<Record<string, unknown>>;

export interface PlainAnswer {
  readonly body: Json;
  readonly outputBytes: number;
  readonly tokens: number;
  readonly usage: Json | undefined;
}

const sseHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  connection: "keep-alive",
};
/** Without waits, how many chunks go out before other connections get their turn. */
const chunksPerTurn = 16;

export async function deliverPlain(
  exchange: Exchange,
  answer: PlainAnswer,
  pace: Pace,
  fault: Fault | undefined,
): Promise<void> {
  await exchange.wait(plainMs(pace, answer.tokens));
  const whole = Buffer.from(JSON.stringify(answer.body));
  const half = whole.subarray(0, Math.floor(whole.length / 2));
  const malformed = fault?.kind === "malformed-200";
  const sent = malformed ? half : whole;
  exchange.res.writeHead(200, { "content-type": "application/json", "content-length": sent.length });
  switch (fault?.kind) {
    case "cut":
      await exchange.write(half);
      await exchange.flush();
      exchange.breakOff(fault.reset);
      return;
    case "silence":
      await exchange.write(half);
      await exchange.waitUntilGone();
      return;
    case "one-byte":
      await writeByteByByte(exchange, whole, answer);
      await exchange.end();
      return;
    default:
      await exchange.end(sent, malformed ? {} : answer);
  }
}

/** Bytes that are no JSON, in pieces, as they would be made. */
export async function deliverBytes(
  exchange: Exchange,
  whole: Buffer,
  contentType: string,
  pace: Pace,
  fault: Fault | undefined,
): Promise<void> {
  await exchange.wait(pace.firstByteMs);
  exchange.res.writeHead(200, { "content-type": contentType });
  let sent = 0;
  for (let at = 0; at < whole.length; at += bytesPerPiece) {
    if (fault && "afterChunks" in fault && sent === fault.afterChunks) {
      await exchange.flush();
      if (fault.kind === "silence") await exchange.waitUntilGone();
      else exchange.breakOff(fault.kind === "cut" && fault.reset);
      return;
    }
    await exchange.wait(pace.msPerChunk);
    await exchange.write(whole.subarray(at, at + bytesPerPiece));
    sent += 1;
  }
  await exchange.end();
}

const bytesPerPiece = 4_096;

export async function deliverStream(
  exchange: Exchange,
  frames: Iterable<Frame>,
  pace: Pace,
  fault: Fault | undefined,
  errorFrame: Frame,
): Promise<void> {
  await exchange.wait(pace.firstByteMs);
  exchange.res.writeHead(200, sseHeaders);
  exchange.res.flushHeaders();
  if (fault?.kind === "one-write") {
    await exchange.end(...joined(frames));
    return;
  }
  const schedule = new Schedule(exchange, pace);
  let sent = 0;
  for (const frame of frames) {
    if (fault && "afterChunks" in fault && sent === fault.afterChunks) {
      await breakStream(exchange, fault, errorFrame);
      return;
    }
    if (fault?.kind === "no-terminator" && frame.terminator === true) continue;
    await schedule.before(frame);
    await writeFrame(exchange, frame, fault, sent);
    sent += 1;
  }
  // A stream shorter than the fault's mark breaks at its end: never a clean one.
  if (fault && "afterChunks" in fault) await breakStream(exchange, fault, errorFrame);
  else await exchange.end();
}

async function breakStream(
  exchange: Exchange,
  fault: Fault & { readonly afterChunks: number },
  errorFrame: Frame,
): Promise<void> {
  if (fault.kind === "error-in-stream") {
    await exchange.end(errorFrame.wire);
    return;
  }
  await exchange.flush();
  if (fault.kind === "cut") exchange.breakOff(fault.reset);
  else await exchange.waitUntilGone();
}

/** The third frame of `demo-malformed-200`: the first two make the stream look sound. */
const malformedFrame = 2;

async function writeFrame(exchange: Exchange, frame: Frame, fault: Fault | undefined, sent: number): Promise<void> {
  if (fault?.kind === "one-byte") {
    await writeByteByByte(exchange, Buffer.from(frame.wire), frame);
  } else if (fault?.kind === "crlf") {
    await exchange.write(frame.wire.replaceAll("\n", "\r\n"), frame);
  } else if (fault?.kind === "malformed-200" && sent === malformedFrame) {
    await exchange.write(`${frame.wire.slice(0, Math.floor(frame.wire.length / 2)).trimEnd()}\n\n`);
  } else {
    await exchange.write(frame.wire, frame);
  }
}

/** Facts about the whole are counted with its last byte. */
async function writeByteByByte(
  exchange: Exchange,
  bytes: Buffer,
  facts: Pick<Frame, "outputBytes" | "usage">,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += 1) {
    const isLast = at === bytes.length - 1;
    await exchange.write(bytes.subarray(at, at + 1), isLast ? facts : {});
    await nextTurn();
  }
}

function joined(frames: Iterable<Frame>): [string, { outputBytes: number; usage: Json }] {
  const all = [...frames];
  return [
    all.map((frame) => frame.wire).join(""),
    {
      outputBytes: all.reduce((sum, frame) => sum + (frame.outputBytes ?? 0), 0),
      usage: Object.assign({}, ...all.map((frame) => frame.usage ?? {})) as Json,
    },
  ];
}

/** Waits so that chunk k goes out when it is due, whatever earlier timers overslept. */
class Schedule {
  private readonly exchange: Exchange;
  private readonly pace: Pace;
  private dueMs = performance.now();
  private sinceTurn = 0;

  constructor(exchange: Exchange, pace: Pace) {
    this.exchange = exchange;
    this.pace = pace;
  }

  async before(frame: Frame): Promise<void> {
    const tokens = frame.tokens ?? 0;
    if (tokens > 0) this.dueMs += this.pace.msPerChunk + this.pace.msPerToken * tokens;
    const waitMs = this.dueMs - performance.now();
    if (waitMs >= 1) {
      this.sinceTurn = 0;
      await this.exchange.wait(waitMs);
      return;
    }
    this.sinceTurn += 1;
    if (this.sinceTurn < chunksPerTurn) return;
    this.sinceTurn = 0;
    await nextTurn();
  }
}
