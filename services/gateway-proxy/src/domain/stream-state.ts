import type { TokenCounts } from "@codex/contracts";
import type { Json } from "./fields.ts";
import type { SseEvent } from "./sse-scanner.ts";

/** What one dialect knows of a stream while it passes: the relay asks it about each event and at the end. */

export interface WireEvent {
  /** Undefined: an event without a name. */
  readonly name: string | undefined;
  /** JSON text; line breaks between its tokens are taken out when it is written. */
  readonly data: Buffer | string;
}

/** What an event means. All of it is optional, because most events are passed on and nothing else. */
export interface Reading {
  /** To be written now, in this order. */
  readonly out?: readonly WireEvent[];
  /** The event itself goes on behind `out`, as it is, under this name; "": without one. */
  readonly passAs?: string;
  /** UTF-8 bytes of answer text in it. */
  readonly answerBytes?: number;
  /** Believable usage of the whole so far. */
  readonly usage?: TokenCounts;
  /** Prompt tokens that the upstream told ahead of the rest; `output` is 0. */
  readonly prompt?: TokenCounts;
  readonly images?: { readonly count: number; readonly variant: string };
  readonly audioMs?: number;
  /** The answer is whole: {@link StreamState.ending} has its last events. */
  readonly end?: boolean;
  /** The upstream says that it failed, or the event is nothing that can be passed on. */
  readonly failed?: boolean;
}

/** What the ending says of the price. */
export interface EndingFacts {
  /** What the charge was made from. The upstream's own object is shown only where it says the same. */
  readonly tokens: TokenCounts;
  /** The upstream gave a count that is believed; false: what its events say of it is made up or estimated. */
  readonly reported: boolean;
  /** `cost` and `cost_details`. */
  readonly cost: Json;
}

/** As OpenAI's error object has it. */
export interface CutError {
  readonly message: string;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
}

export interface StreamState {
  /** Largest event in bytes. */
  readonly eventBytesMax: number;
  read(event: SseEvent): Reading;
  /** True when the upstream may stop here: the answer was told to be finished, only its terminator is missing. */
  readonly whole: boolean;
  /** The last events, with the cost. */
  ending(facts: EndingFacts): readonly WireEvent[];
  /** The hold is used up: events that make the answer look like one that reached its length; {@link ending} follows. */
  stopAtHold(): readonly WireEvent[];
  /** The last events of an answer that is cut; undefined: the dialect's error as it is. */
  cut?(error: CutError): readonly WireEvent[];
}

/** Upstreams' event names that may be passed on: nothing in them can start a new field (SEC-93). */
export function safeName(name: string): string | undefined {
  return /^[a-z0-9_.]{1,64}$/.test(name) ? name : undefined;
}

/** The event as an object; undefined when it is none. */
export function parsedEvent(data: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The event's `event` field, or the `type` in its data: some servers leave the field out. */
export function typeOf({ name, text, from, to }: SseEvent): string {
  if (name !== "") return name;
  return /"type"\s*:\s*"([a-z0-9_.]{1,64})"/.exec(text.slice(from, Math.min(to, from + 256)))?.[1] ?? "";
}

/** Some upstreams say what the request cost us; that is not what it costs the customer. */
export function withoutCost(usage: unknown): unknown {
  if (typeof usage !== "object" || usage === null || Array.isArray(usage)) return usage;
  return Object.fromEntries(Object.entries(usage).filter(([name]) => name !== "cost" && name !== "cost_details"));
}
