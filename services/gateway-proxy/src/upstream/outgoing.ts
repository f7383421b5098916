import type { IncomingHttpHeaders } from "node:http";
import type { Route } from "../app/catalogue.ts";
import type { UpstreamKey } from "../app/channel-state.ts";
import { withFields, type JsonDocument } from "../domain/json-scan.ts";
import type { Operation } from "../domain/operation.ts";
import { kinds } from "./kinds/index.ts";
import type { Cancelled } from "./cancellation.ts";
import type { UpstreamCall } from "./transport.ts";

/** What goes to one channel; the channel's kind adds the address, the credentials and what its API asks for. */
export interface OutgoingCall {
  /** The form of `body`: the client's own, or the one it was converted to for this channel. */
  readonly operation: Operation;
  /** An object is completed by the kind, in place, and sent as JSON: make it anew for each call. Text and bytes go as they are. */
  readonly body: Record<string, unknown> | string | Uint8Array;
  /** Where an object came from: of its fields those that are the same values are sent as they came, byte for byte. */
  readonly source?: JsonDocument;
  /** `application/json` when absent. */
  readonly contentType?: string;
  /** The body is in a dialect that the client did not write: no header of the client's speaks of it. */
  readonly converted?: boolean;
  /** Headers of the client that the endpoint lets through, by lower-case name; what the kind says goes before. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface OutgoingFacts {
  readonly stream: boolean;
  readonly requestId: string;
  /** Of these the kind takes what its vendor's API defines; nothing else of the client goes out (SEC-84). */
  readonly clientHeaders: IncomingHttpHeaders;
  readonly signal: Cancelled;
  /** By which name the upstream may know the account, where its API has a place for one; absent: by none. */
  readonly userId?: () => string;
}

/** Fields that redirect, store, identify or choose another price; no upstream ever sees the customer's values (SEC-84). */
const withheld = [
  "user",
  "safety_identifier",
  "metadata",
  "store",
  "service_tier",
  "background",
  "webhook",
  "callback",
  "api_base",
  "api_key",
];

/** Throws when the kind does not know the operation: an endpoint must ask `speaks` first. */
export function outgoing(
  route: Pick<Route, "kind" | "channel" | "upstreamModel">,
  key: Pick<UpstreamKey, "secret">,
  call: OutgoingCall,
  facts: OutgoingFacts,
): UpstreamCall {
  const record = kinds[route.kind];
  const { snapshot, origin, basePath } = route.channel;
  const { operation } = call;
  const target = { operation, model: route.upstreamModel, stream: facts.stream, apiVersion: snapshot.apiVersion };
  const path = record.path(target);
  if (path === undefined) throw new Error(`a channel of the kind ${route.kind} does not know ${operation}`);
  const headers: Record<string, string> = {
    ...call.headers,
    "content-type": call.contentType ?? "application/json",
    accept: facts.stream ? "text/event-stream" : operation === "speech" ? "*/*" : "application/json",
    "user-agent": "codex-api-gateway",
    "x-request-id": facts.requestId,
  };
  if (key.secret !== undefined) record.authorize(headers, key.secret, operation);
  record.headers?.(headers, target, call.converted === true ? {} : facts.clientHeaders);
  let { body } = call;
  if (typeof body === "object" && !(body instanceof Uint8Array)) {
    for (const name of withheld) if (name in body) Reflect.deleteProperty(body, name);
    if (facts.userId) record.identify?.(body, operation, facts.userId());
    record.shape?.(body, target);
    body = call.source ? withFields(call.source, body) : JSON.stringify(body);
  }
  return {
    origin,
    path: basePath + path,
    egress: snapshot.egress,
    headers,
    body,
    signal: facts.signal,
    firstByteTimeoutMs: snapshot.firstByteTimeoutMs ?? undefined,
    betweenBytesTimeoutMs: snapshot.betweenBytesTimeoutMs ?? undefined,
  };
}
