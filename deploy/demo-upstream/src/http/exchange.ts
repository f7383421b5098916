import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Journal } from "../journal.ts";

type Json = Readonly<Record<string, unknown>>;

/** Facts about bytes that are being sent, counted when the socket has taken them. */
export interface Delivered {
  /** UTF-8 bytes of generated text in the chunk. */
  readonly outputBytes?: number;
  /** The usage fields in the chunk; later ones replace earlier ones of the same name. */
  readonly usage?: Json | undefined;
}

export interface ExchangeFacts {
  model?: string;
  stream?: boolean;
  trueUsage?: Readonly<Record<string, number>>;
}

/** Never used for its host: only path and query are read. A request target that is no URL is taken as `/`. */
const base = "http://demo.invalid/";

/** Thrown out of a wait or a write when the connection has gone; it ends the request quietly. */
export class Gone extends Error {
  override readonly name = "Gone";
}

/**
 * One request and its answer: knows when the caller has left, counts what was delivered, and writes the journal entry
 * when the connection is done with it.
 */
export class Exchange {
  readonly requestId: string;
  readonly url: URL;
  readonly facts: ExchangeFacts = {};
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Aborted when the connection is done with this request, for whatever reason. */
  readonly signal: AbortSignal;
  private readonly startedMs = performance.now();
  private readonly done = new AbortController();
  private brokenOff = false;
  private bytes = 0;
  private chunks = 0;
  private outputBytes = 0;
  private usage: Json | undefined;

  constructor(req: IncomingMessage, res: ServerResponse, journal: Journal, lifeMsMax: number) {
    this.req = req;
    this.res = res;
    this.signal = this.done.signal;
    this.url = URL.parse(req.url ?? "/", base) ?? new URL(base);
    const given = req.headers["x-request-id"];
    this.requestId =
      typeof given === "string" && given.length <= 128 ? given : `req_${randomUUID().replaceAll("-", "")}`;
    res.setHeader("x-request-id", this.requestId);
    res.setHeader("request-id", this.requestId);
    const bound = setTimeout(() => this.breakOff(false), lifeMsMax);
    bound.unref();
    res.once("close", () => {
      clearTimeout(bound);
      this.done.abort(new Gone("the connection is done with this request"));
      if (req.method === "POST") this.writeEntry(journal);
    });
    // A caller that resets the connection is an ordinary event here; `close` follows.
    res.on("error", () => undefined);
  }

  /** Throws {@link Gone} when the caller leaves meanwhile. */
  async wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    try {
      await delay(ms, undefined, { signal: this.signal });
    } catch {
      throw new Gone("left while waiting");
    }
  }

  /** Waits until the connection is gone; the exchange's own time limit ends it at the latest. */
  async waitUntilGone(): Promise<void> {
    if (!this.signal.aborted) await once(this.signal, "abort");
  }

  /** Hands bytes to the socket and waits while it is full. Throws {@link Gone} when the caller has left. */
  async write(chunk: string | Buffer, delivered: Delivered = {}): Promise<void> {
    if (this.signal.aborted) throw new Gone("left before a write");
    const full = !this.res.write(chunk, (error) => {
      if (!error) this.count(Buffer.byteLength(chunk), delivered);
    });
    if (!full) return;
    try {
      await once(this.res, "drain", { signal: this.signal });
    } catch {
      throw new Gone("left while the socket was full");
    }
  }

  /** Last bytes and the proper end; resolves when the socket has taken them all. */
  async end(chunk: string | Buffer = "", delivered: Delivered = {}): Promise<void> {
    if (chunk.length > 0) await this.write(chunk, delivered);
    if (this.signal.aborted) throw new Gone("left before the end");
    this.res.end();
    await this.waitUntilGone();
  }

  /** Resolves when everything written so far was taken by the socket. */
  async flush(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.signal.addEventListener("abort", () => resolve(), { once: true });
      if (this.signal.aborted) resolve();
      else this.res.write("", () => resolve());
    });
  }

  /** Closes the connection in the middle of the answer; with `reset` by RST, else by FIN. */
  breakOff(reset: boolean): void {
    if (this.signal.aborted) return;
    this.brokenOff = true;
    if (reset) this.res.socket?.resetAndDestroy();
    this.res.destroy();
  }

  private count(bytes: number, delivered: Delivered): void {
    this.bytes += bytes;
    this.chunks += 1;
    this.outputBytes += delivered.outputBytes ?? 0;
    if (delivered.usage) this.usage = { ...this.usage, ...delivered.usage };
  }

  private writeEntry(journal: Journal): void {
    const ended = this.brokenOff ? "cut" : "client_gone";
    journal.record({
      endedAt: new Date().toISOString(),
      requestId: this.requestId,
      method: this.req.method ?? "",
      path: this.url.pathname,
      model: this.facts.model ?? null,
      status: this.res.headersSent ? this.res.statusCode : null,
      stream: this.facts.stream ?? false,
      outcome: this.res.writableFinished ? "finished" : ended,
      bytes: this.bytes,
      chunks: this.chunks,
      outputBytes: this.outputBytes,
      reportedUsage: this.usage ?? null,
      trueUsage: this.facts.trueUsage ?? null,
      durationMs: Math.round(performance.now() - this.startedMs),
    });
  }
}
