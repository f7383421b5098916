import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import WebSocket from "ws";
import type { Route } from "../app/catalogue.ts";
import type { UpstreamKey } from "../app/channel-state.ts";
import { AddressRefused, guardedLookup, mayConnect, type Lookup } from "./address-guard.ts";
import { unreachable } from "./faults.ts";
import { kinds } from "./kinds/index.ts";
import { readRefusal, type Refusal } from "./refusal.ts";
import { retryAfterOf } from "./transport.ts";

/**
 * A session at an upstream (docs/adr/0017). The same guard of addresses as for every call, no redirects, and headers of ours
 * alone (SEC-81, SEC-84).
 */
export interface RealtimeConnectOptions {
  readonly requestId: string;
  /** By which name the upstream knows the account. */
  readonly userId: string;
  readonly timeoutMs: number;
  readonly messageBytesMax: number;
  /** Aborted when the client has left meanwhile. */
  readonly signal: AbortSignal;
  /** The resolver of names; the system's by default. */
  readonly lookup?: Lookup;
}

export type RealtimeAnswer = { readonly socket: WebSocket } | { readonly refusal: Refusal };

/**
 * The open socket, paused, so that nothing is lost before somebody listens; or the upstream's refusal. Rejects with AppError
 * `upstream_unavailable`.
 */
export async function connectRealtime(
  route: Pick<Route, "kind" | "channel" | "upstreamModel">,
  key: Pick<UpstreamKey, "secret">,
  options: RealtimeConnectOptions,
): Promise<RealtimeAnswer> {
  const { channel, kind, upstreamModel } = route;
  const record = kinds[kind];
  const { snapshot, origin, basePath } = channel;
  const target = {
    operation: "realtime",
    model: upstreamModel,
    stream: true,
    apiVersion: snapshot.apiVersion,
  } as const;
  const path = record.path(target);
  if (path === undefined) throw new Error(`a channel of the kind ${kind} does not know realtime`);
  const privateAllowed = snapshot.egress === "private";
  const { hostname } = new URL(origin);
  const literal = hostname.replace(/^\[|\]$/g, "");
  // Sockets do not look an address up that is one already.
  if (isIP(literal) !== 0 && !mayConnect(literal, privateAllowed)) throw unreachable(new AddressRefused(literal));
  const headers: Record<string, string> = { "user-agent": "codex-api-gateway", "x-request-id": options.requestId };
  // platform.openai.com/docs/guides/safety-checks (2026-11): sessions say it in a header.
  if (kind === "openai") headers["openai-safety-identifier"] = options.userId;
  if (key.secret !== undefined) record.authorize(headers, key.secret, "realtime");
  const socket = new WebSocket(`${origin.replace(/^http/, "ws")}${basePath}${path}`, {
    headers,
    lookup: guardedLookup(privateAllowed, options.lookup),
    handshakeTimeout: options.timeoutMs,
    maxPayload: options.messageBytesMax,
    perMessageDeflate: false,
    followRedirects: false,
  });
  return opened(socket, route, options.signal);
}

function opened(socket: WebSocket, { kind }: Pick<Route, "kind">, signal: AbortSignal): Promise<RealtimeAnswer> {
  return new Promise((resolve, reject) => {
    const leave = (): void => socket.terminate();
    const settle = (): void => signal.removeEventListener("abort", leave);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    // Stays: an error of a socket without a listener would end the process.
    socket.on("error", (error) => {
      settle();
      reject(unreachable(error));
    });
    socket.once("unexpected-response", (_req, answer) => {
      settle();
      refused(kind, answer).then((refusal) => resolve({ refusal }), reject);
    });
    socket.once("open", () => {
      settle();
      socket.pause();
      resolve({ socket });
    });
  });
}

/** Reads a bounded part of the answer, which also frees the connection. */
function refused(kind: Route["kind"], answer: IncomingMessage): Promise<Refusal> {
  const { headers } = answer;
  return readRefusal(kind, {
    status: answer.statusCode ?? 502,
    retryAfterSeconds: retryAfterOf(headers["retry-after"], headers["retry-after-ms"]),
    body: answer,
  });
}
