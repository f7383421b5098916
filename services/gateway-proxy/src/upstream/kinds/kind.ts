import type { ChannelKind } from "@codex/contracts";
import type { IncomingHttpHeaders } from "node:http";
import { isObject } from "../../domain/fields.ts";
import type { Operation, TextDialect } from "../../domain/operation.ts";
import type { FaultScope, UpstreamError } from "../faults.ts";

/** What one call needs to know to be addressed. */
export interface CallTarget {
  readonly operation: Operation;
  /** Name of the model, or of Azure's deployment, at the upstream. */
  readonly model: string;
  readonly stream: boolean;
  readonly apiVersion: string | null;
}

/**
 * One vendor's API as a record of small functions. Everything that differs between vendors is in these records; everything
 * else is common. Sources are the vendors' API references, read 2026-11.
 */
export interface KindRecord {
  readonly kind: ChannelKind;
  /** The vendor's own address; undefined: an operator must give one. */
  readonly defaultBaseUrl: string | undefined;
  /** Hosts that a channel with egress `vendor` may name; one that begins with "." stands for all its subdomains. */
  readonly hosts: readonly string[];
  /** Path that every base URL of this kind has when the operator gave none, "/v1". */
  readonly basePath: string;
  /** The forms of a conversation it speaks itself, the one to convert to first. */
  readonly dialects: readonly TextDialect[];
  /** Name of the answer's bound in a chat body of ours, where `max_completion_tokens` is not known everywhere. */
  readonly chatBound?: "max_tokens";
  /** Below the base URL, with the query; undefined: the upstream does not know the operation. */
  readonly path: (target: CallTarget) => string | undefined;
  /** Credentials. */
  readonly authorize: (headers: Record<string, string>, secret: string, operation: Operation) => void;
  /** Other headers; of the client's own only those that the vendor's API defines (SEC-84). */
  readonly headers?: (headers: Record<string, string>, target: CallTarget, client: IncomingHttpHeaders) => void;
  /** Builds and drops fields of a JSON body, in place; the object is the caller's own copy. */
  readonly shape?: (body: Record<string, unknown>, target: CallTarget) => void;
  /** Says in a JSON body, in place, who is behind the request, where the vendor has a field for it. */
  readonly identify?: (body: Record<string, unknown>, operation: Operation, userId: string) => void;
  /** Whose fault a refusal is, where the vendor differs from the common reading; undefined: it does not. */
  readonly faultOf?: (status: number, error: UpstreamError) => FaultScope | undefined;
}

/** `Authorization: Bearer`, which all but a few want. */
export function bearer(headers: Record<string, string>, secret: string): void {
  headers["authorization"] = `Bearer ${secret}`;
}

/** OpenAI's paths, which compatible servers share. */
export const openAiPaths: Readonly<Partial<Record<Operation, string>>> = {
  chat: "/chat/completions",
  responses: "/responses",
  completions: "/completions",
  embeddings: "/embeddings",
  images: "/images/generations",
  imageEdits: "/images/edits",
  speech: "/audio/speech",
  transcriptions: "/audio/transcriptions",
  translations: "/audio/translations",
  moderations: "/moderations",
};

/** OpenAI's older name, which stays where the newer one never was. */
export function identifyAsUser(body: Record<string, unknown>, operation: Operation, userId: string): void {
  if (withUser.has(operation)) body["user"] = userId;
}

const withUser: ReadonlySet<Operation> = new Set([
  "chat",
  "responses",
  "completions",
  "embeddings",
  "images",
  "imageEdits",
]);

/** A session over a websocket; the model is in the query. */
export function realtimePath({ model }: CallTarget): string {
  return `/realtime?model=${encodeURIComponent(model)}`;
}

/**
 * Usage is asked for whenever a chat or completion is streamed: without it there is nothing exact to charge by. A request that
 * asks for it itself stays as it came.
 */
export function askForUsage(body: Record<string, unknown>, target: CallTarget): void {
  if (!target.stream || (target.operation !== "chat" && target.operation !== "completions")) return;
  const options = body["stream_options"];
  if (isObject(options) && options["include_usage"] === true) return;
  body["stream_options"] = { ...(isObject(options) ? options : {}), include_usage: true };
}

/** The state of a conversation is not kept at the upstream: we promise to store no content. */
export function keepNothing(body: Record<string, unknown>, target: CallTarget): void {
  if (target.operation === "responses") body["store"] = false;
}
