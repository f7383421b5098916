import type { ChannelEgress } from "@codex/contracts";
import { isIP } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { AddressRefused, guardedLookup, mayConnect, type Lookup } from "./address-guard.ts";
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
  readonly signal: AbortSignal;
  /** From the request's last byte to the answer's headers. Undefined: the client's default. */
  readonly firstByteTimeoutMs?: number | undefined;
  /** Between two pieces of the answer. Undefined: the client's default. */
  readonly betweenBytesTimeoutMs?: number | undefined;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfterSeconds: number | undefined;
  readonly body: Dispatcher.ResponseData["body"];
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
  async call(call: UpstreamCall): Promise<UpstreamResponse> {
    const agent = call.egress === "private" ? this.open : this.guarded;
    try {
      const answer = await agent.request({
        origin: call.origin,
        path: call.path,
        method: "POST",
        headers: call.headers,
        body: call.body,
        signal: call.signal,
        ...(call.firstByteTimeoutMs === undefined ? {} : { headersTimeout: call.firstByteTimeoutMs }),
        ...(call.betweenBytesTimeoutMs === undefined ? {} : { bodyTimeout: call.betweenBytesTimeoutMs }),
      });
      const { headers } = answer;
      return {
        status: answer.statusCode,
        contentType: headerText(headers["content-type"]),
        retryAfterSeconds: retryAfterOf(headers["retry-after"], headers["retry-after-ms"]),
        body: answer.body,
      };
    } catch (error) {
      if (call.signal.aborted) throw error;
      throw transportFailure(error) ?? unreachable(error);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.guarded.destroy(), this.open.destroy()]);
  }
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
