import type { ChannelEgress } from "@codex/contracts";
import { isIP } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { AddressRefused, guardedLookup, mayConnect, type Lookup } from "./address-guard.ts";
import { AnswerBody } from "./answer-body.ts";
import type { Cancelled } from "./cancellation.ts";
import { transportFailure, unreachable } from "./faults.ts";

/**
 * One call to an upstream. Redirects are never followed: a 3xx is a refusal like any other, so that no header of ours reaches
 * a host that the channel does not name (SEC-44). Of the upstream's headers nothing comes back but what is listed (SEC-85).
 */

export interface UpstreamCall {
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly egress: ChannelEgress;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  readonly signal: Cancelled;
  /** From the request's last byte to the answer's headers. Undefined: the client's default. */
  readonly firstByteTimeoutMs?: number | undefined;
  /** Between two pieces of the answer. Undefined: the client's default. */
  readonly betweenBytesTimeoutMs?: number | undefined;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfterSeconds: number | undefined;
  readonly body: AnswerBody;
}

export interface UpstreamClientOptions {
  readonly firstByteTimeoutMs: number;
  readonly betweenBytesTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** To one origin. */
  readonly connectionsMax: number;
  /** The resolver of names; the system's by default. */
  readonly lookup?: Lookup;
}

export class UpstreamClient {
  /** Connections of channels that may reach private networks are never shared with those of channels that may not. */
  private readonly guarded: Agent;
  private readonly open: Agent;

  constructor(options: UpstreamClientOptions) {
    this.guarded = agentOf(options, false);
    this.open = agentOf(options, true);
  }

  /** Rejects with AppError `upstream_unavailable` or `upstream_timeout`, or with the abort reason of `signal`. */
  call(call: UpstreamCall): Promise<UpstreamResponse> {
    const agent = call.egress === "private" ? this.open : this.guarded;
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(call.signal, resolve, reject);
      if (call.signal.aborted) return;
      try {
        agent.dispatch(
          {
            origin: call.origin,
            path: call.path,
            method: "POST",
            headers: call.headers,
            body: call.body,
            headersTimeout: call.firstByteTimeoutMs ?? null,
            bodyTimeout: call.betweenBytesTimeoutMs ?? null,
          },
          exchange,
        );
      } catch (error) {
        exchange.failed(error);
      }
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.guarded.destroy(), this.open.destroy()]);
  }
}

/** One call as undici tells of it. */
class Exchange implements Dispatcher.DispatchHandler {
  private readonly signal: Cancelled;
  private readonly resolve: (answer: UpstreamResponse) => void;
  private readonly reject: (error: unknown) => void;
  private readonly unheed: () => void;
  private controller: Dispatcher.DispatchController | undefined;
  private body: AnswerBody | undefined;

  constructor(signal: Cancelled, resolve: (answer: UpstreamResponse) => void, reject: (error: unknown) => void) {
    this.signal = signal;
    this.resolve = resolve;
    this.reject = reject;
    this.unheed = signal.onAbort(() => this.abort());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.signal.aborted) controller.abort(asError(this.signal.reason));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    // 100 and its kin announce an answer.
    if (status < 200) return;
    this.body = new AnswerBody(controller);
    this.resolve({
      status,
      contentType: headerText(headers["content-type"]),
      retryAfterSeconds: retryAfterOf(headers["retry-after"], headers["retry-after-ms"]),
      body: this.body,
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.body?.push(piece);
  }

  onResponseEnd(): void {
    this.unheed();
    this.body?.finish();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.failed(error);
  }

  failed(error: unknown): void {
    this.unheed();
    if (this.body) this.body.fail(asError(error));
    else this.reject(this.signal.aborted ? this.signal.reason : (transportFailure(error) ?? unreachable(error)));
  }

  /** A call that waits for a connection is not known to undici's controller yet: it ends when its turn comes. */
  private abort(): void {
    const { reason } = this.signal;
    if (this.body) this.body.fail(asError(reason));
    else this.reject(reason);
    this.controller?.abort(asError(reason));
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error("the call was given up", { cause: thrown });
}

function agentOf(options: UpstreamClientOptions, privateAllowed: boolean): Agent {
  const lookup = guardedLookup(privateAllowed, options.lookup);
  const connect = buildConnector({ timeout: options.connectTimeoutMs, lookup });
  return new Agent({
    connections: options.connectionsMax,
    pipelining: 1,
    headersTimeout: options.firstByteTimeoutMs,
    bodyTimeout: options.betweenBytesTimeoutMs,
    connect: (target, callback) => {
      // Sockets do not look an address up that is one already.
      const literal = target.hostname.replace(/^\[|\]$/g, "");
      if (isIP(literal) !== 0 && !mayConnect(literal, privateAllowed)) callback(new AddressRefused(literal), null);
      else connect(target, callback);
    },
    keepAliveTimeout: 30_000,
    maxHeaderSize: 32_768,
  });
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === "string" ? value : (value?.[0] ?? "");
}

/** Whole seconds, rounded up; OpenAI and Azure say milliseconds in a header of their own. Dates are not believed. */
export function retryAfterOf(
  inSeconds: string | string[] | undefined,
  inMilliseconds: string | string[] | undefined,
): number | undefined {
  const milliseconds = headerText(inMilliseconds);
  const seconds = headerText(inSeconds);
  if (/^\d{1,8}$/.test(milliseconds)) return Math.ceil(Number(milliseconds) / 1_000);
  return /^\d{1,5}$/.test(seconds) ? Number(seconds) : undefined;
}
