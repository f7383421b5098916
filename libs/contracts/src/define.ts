import type * as z from "zod";
import type { StreamName } from "./streams.ts";

/**
 * Glossary
 *   pattern    a subject with named tokens: "evt.key.changed.v1.{keyId}". Nobody outside this package writes a subject.
 *   parameter  a named token; its values are checked against the NATS token grammar (ADR-6 of nats-architecture)
 *   event      a fact, published to a stream, delivered at least once, idempotent by its id
 *   RPC        a request with one answer, over core NATS and the services framework
 *   signal     a hint to whoever listens just now, over core NATS: it may be lost, so nothing may depend on it
 */

/** Names of the `{tokens}` in a pattern. */
export type ParamNames<Pattern extends string> = Pattern extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamNames<Rest>
  : never;

export type SubjectParams<Pattern extends string> = Readonly<Record<ParamNames<Pattern>, string>>;

export interface EventDef<Pattern extends string = string, Data extends z.ZodType = z.ZodType> {
  readonly kind: "event";
  readonly stream: StreamName;
  /** Past tense, dotted, without version: "key.changed". */
  readonly type: string;
  readonly version: number;
  readonly pattern: Pattern;
  readonly description: string;
  readonly data: Data;
}

export interface RpcDef<
  Req extends z.ZodType = z.ZodType,
  Res extends z.ZodType = z.ZodType,
  Code extends string = string,
> {
  readonly kind: "rpc";
  readonly subject: string;
  readonly description: string;
  /** The caller's deadline; a responder that is later is not heard. */
  readonly timeoutMs: number;
  readonly req: Req;
  readonly res: Res;
  /** Closed set of expected refusals. Anything else is `unavailable` to the caller. */
  readonly errors: readonly Code[];
}

export interface KvDef<Value extends z.ZodType = z.ZodType> {
  readonly kind: "kv";
  readonly bucket: string;
  readonly description: string;
  readonly value: Value;
  /** Revisions kept a key. */
  readonly history: number;
  /** 0 keeps values for ever. */
  readonly ttlMs: number;
  /** As stored. */
  readonly maxValueBytes: number;
  /** A JSON text above this is stored as gzip; absent: never. Both forms are read. */
  readonly gzipAboveBytes?: number;
}

export interface SignalDef<Pattern extends string = string, Data extends z.ZodType = z.ZodType> {
  readonly kind: "signal";
  readonly pattern: Pattern;
  readonly description: string;
  readonly data: Data;
}

const tokenPattern = /^[A-Za-z0-9_-]{1,128}$/;

export function defineEvent<const Pattern extends string, Data extends z.ZodType>(
  definition: Omit<EventDef<Pattern, Data>, "kind">,
): EventDef<Pattern, Data> {
  return { kind: "event", ...definition };
}

export function defineRpc<Req extends z.ZodType, Res extends z.ZodType, const Code extends string>(
  definition: Omit<RpcDef<Req, Res, Code>, "kind">,
): RpcDef<Req, Res, Code> {
  return { kind: "rpc", ...definition };
}

export function defineKv<Value extends z.ZodType>(definition: Omit<KvDef<Value>, "kind">): KvDef<Value> {
  return { kind: "kv", ...definition };
}

export function defineSignal<const Pattern extends string, Data extends z.ZodType>(
  definition: Omit<SignalDef<Pattern, Data>, "kind">,
): SignalDef<Pattern, Data> {
  return { kind: "signal", ...definition };
}

/** Fills a pattern. Throws on a missing parameter or on a value that is not one NATS token. */
export function subjectOf<Pattern extends string>(pattern: Pattern, params: SubjectParams<Pattern>): string {
  const values: Readonly<Record<string, string>> = params;
  return pattern.replaceAll(/\{([A-Za-z]+)\}/g, (_match, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`subject parameter ${name} is missing`);
    if (!tokenPattern.test(value)) throw new Error(`subject parameter ${name} is not a NATS token`);
    return value;
  });
}

/** The pattern with every parameter as the single-token wildcard, for subscriptions and stream declarations. */
export function wildcardOf(pattern: string): string {
  return pattern.replaceAll(/\{[A-Za-z]+\}/g, "*");
}
