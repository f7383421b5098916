import type { ServerResponse } from "node:http";
import type { Dialect } from "../../domain/endpoint.ts";

/**
 * The client's side of a stream. While nothing comes from the upstream it is kept alive, before the first event too: proxies
 * and clients give up on a silent connection. A sign of life is no answer: another channel may still be tried after it, and
 * an error then comes as an event, because the status is sent.
 */
export class ClientStream {
  readonly res: ServerResponse;
  private readonly sign: string;
  private readonly timer: NodeJS.Timeout | undefined;
  private quiet = true;

  constructor(res: ServerResponse, dialect: Dialect, everyMs: number) {
    this.res = res;
    this.sign = signOfLife[dialect];
    // Who has left while he was admitted closes nothing any more.
    if (res.destroyed) return;
    this.timer = setInterval(() => this.keepAlive(), everyMs);
    res.once("close", () => clearInterval(this.timer));
  }

  write(bytes: Buffer): void {
    this.begin();
    this.quiet = false;
    this.res.write(bytes);
  }

  end(): void {
    this.stop();
    this.res.end();
  }

  /** No more signs of life: the answer is over, or another one is sent. */
  stop(): void {
    clearInterval(this.timer);
  }

  private begin(): void {
    if (this.res.headersSent) return;
    this.res.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
  }

  private keepAlive(): void {
    // A reader that does not read needs no signs of life, and they would pile up.
    if (this.quiet && !this.res.writableNeedDrain && !this.res.destroyed) {
      this.begin();
      this.res.write(this.sign);
    }
    this.quiet = true;
  }
}

/** A comment, which every reader skips (WHATWG HTML §9.2.6); Anthropic's clients know an event for it. */
const signOfLife = {
  openai: ": keep-alive\n\n",
  anthropic: 'event: ping\ndata: {"type":"ping"}\n\n',
} as const satisfies Record<Dialect, string>;
