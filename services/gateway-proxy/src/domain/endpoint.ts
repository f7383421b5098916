import type { TokenCounts } from "@codex/contracts";
import type { FormPart } from "./form.ts";
import type { HoldInput } from "./hold.ts";
import type { Json } from "./fields.ts";
import type { JsonDocument } from "./json-scan.ts";
import type { Operation } from "./operation.ts";
import type { RequestText } from "./request-text.ts";
import type { StreamState } from "./stream-state.ts";

/**
 * An endpoint of /v1 is a record of small, pure functions; the engine in http/v1 runs them. What a new endpoint needs is a
 * record here and a row in the router.
 *
 * Glossary
 *   operation   what is asked of an upstream; a channel natively knows some of them (channel-operations.ts)
 *   dialect     how errors and keep-alives are written
 *   outgoing    the request as one channel gets it, in the endpoint's own dialect
 *   metered     what an answer says of its use, disjoint from what it may cost
 */

export type Dialect = "openai" | "anthropic";

export interface JsonBody extends JsonDocument {
  readonly kind: "json";
}

export interface FormBody {
  readonly kind: "form";
  /** Of the whole request. */
  readonly size: number;
  readonly parts: readonly FormPart[];
}

export type RequestBody = JsonBody | FormBody;

/** Headers of the client by lower-case name, only those that the endpoint named. */
export type ClientHeaders = Readonly<Record<string, string>>;

export interface ParsedRequest {
  readonly model: string;
  readonly stream: boolean;
}

export interface Target {
  readonly model: string;
  /** Output bound of one answer that the hold covers. */
  readonly outputTokens: number;
}

/** What goes out. Of a JSON body the fields, which a channel's kind may still complete, and the bytes they came in. */
export type Outgoing =
  | { readonly body: Record<string, unknown>; readonly source: JsonDocument; readonly contentType: string }
  | { readonly body: Uint8Array; readonly contentType: string };

/** Pictures or sound that was made or heard; tokens undefined when the upstream reported none that can be believed. */
export interface Metered {
  readonly tokens: TokenCounts | undefined;
  /** UTF-8 bytes of answer text, for the estimate. */
  readonly answerBytes: number;
  readonly images?: { readonly count: number; readonly variant: string };
  readonly audioMs?: number;
}

/** A plain answer in JSON. Its `usage` member is replaced by the one that holds the cost; every other byte stays. */
export interface JsonAnswer<R extends ParsedRequest> {
  /** Why this is no answer of the endpoint; undefined when it is one. */
  readonly problem: (answer: Json) => string | undefined;
  readonly metered: (answer: Json, request: R) => Metered;
  /** The dialect's usage object of our own counts, for an upstream that sent none. */
  readonly usage: (tokens: TokenCounts) => Json;
  /** False: the answer has no usage object and gets none. Default true. */
  readonly tellsCost?: boolean;
}

/** An answer of bytes or text that is passed on as it comes, under a content type of ours. */
export interface RawAnswer<R extends ParsedRequest> {
  readonly contentType: (request: R) => string;
  /** What the whole of the answer, of which `head` is the beginning, used. */
  readonly metered: (request: R, head: Buffer, bytes: number) => Metered;
}

export interface Endpoint<R extends ParsedRequest> {
  /** Path and name of the route in the ledger. */
  readonly path: string;
  readonly operation: Operation;
  readonly dialect: Dialect;
  readonly accepts: readonly RequestBody["kind"][];
  /** Names of the client's headers that go to the upstream; everything else stays here (SEC-84). */
  readonly forwardedHeaders: readonly string[];
  /** Throws AppError (kind `invalid`) that names the first field at fault. */
  readonly parse: (body: RequestBody, headers: ClientHeaders) => R;
  /** The most that the request can use. */
  readonly bound: (request: R) => HoldInput;
  /** The text that a tokenizer would see; undefined leaves the bytes as the bound. */
  readonly text: (request: R) => RequestText | undefined;
  readonly outgoing: (request: R, target: Target) => Outgoing;
  readonly json: JsonAnswer<R>;
  /** Answers that are no JSON; undefined for this request: it is. */
  readonly raw?: (request: R) => RawAnswer<R> | undefined;
  readonly stream?: (request: R) => StreamState;
}

/** The fields of a JSON body with some of them changed or, when undefined, left out. */
export function jsonOutgoing(source: JsonDocument, changes: ReadonlyMap<string, unknown>): Outgoing {
  const body: Record<string, unknown> = { ...(source.value as Json) };
  for (const [name, value] of changes) {
    if (value === undefined) Reflect.deleteProperty(body, name);
    else body[name] = value;
  }
  return { body, source, contentType: "application/json" };
}
