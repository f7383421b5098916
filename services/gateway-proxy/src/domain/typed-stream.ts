import type { TokenCounts } from "@codex/contracts";
import { isDone, textBytesAt } from "./chat-chunk.ts";
import { isObject, type Json } from "./fields.ts";
import type { SseEvent } from "./sse-scanner.ts";
import {
  parsedEvent,
  safeName,
  typeOf,
  withoutCost,
  type CutError,
  type EndingFacts,
  type Reading,
  type StreamState,
  type WireEvent,
} from "./stream-state.ts";
import { tokensFromInputOutput } from "./usage.ts";

/**
 * A stream whose events have a type and of which one type is the end, with the usage in it: Responses, Images, speech and
 * transcripts. Events of the types that are not listed are passed on without being parsed.
 */
export interface TypedStreamFormat {
  readonly eventBytesMax: number;
  /** Types that end the answer. */
  readonly terminal: readonly string[];
  /** How many such events the whole answer has. */
  readonly terminals: number;
  /** How every type begins that is passed on; events of any other are dropped (SEC-93). */
  readonly prefix: string;
  /** Types that say that it failed. */
  readonly failed: readonly string[];
  /** JSON fields whose string values are answer text. */
  readonly textMarks: readonly string[];
  /** The object in a terminal event that has, or is to get, `usage`. */
  readonly holder: (event: Json) => Json;
  /** The event with that object in its place. */
  readonly withHolder: (event: Json, holder: Json) => Json;
  /** Our own usage object. */
  readonly usage: (tokens: TokenCounts) => Json;
  /** What else a terminal event says of its use. */
  readonly extra?: (event: Json) => Pick<Reading, "images" | "audioMs" | "answerBytes" | "usage">;
  /** The terminal event for an answer that reached the hold; undefined: its last event as it was, or none. */
  readonly atHold?: (head: Json | undefined, sequence: number) => Json;
  /** The last events of an answer that is cut, where an `error` event is not all that clients read. */
  readonly cut?: (head: Json | undefined, sequence: number, error: CutError) => readonly Json[];
  /** Type of the event whose content {@link atHold} and {@link cut} want to see. */
  readonly headType?: string;
}

export class TypedStream implements StreamState {
  readonly eventBytesMax: number;
  private readonly format: TypedStreamFormat;
  private last: { readonly event: Json; readonly name: string | undefined } | undefined;
  private head: Json | undefined;
  private sequence = 0;
  private terminals = 0;
  private textSeen = false;
  private believed = false;

  constructor(format: TypedStreamFormat) {
    this.format = format;
    this.eventBytesMax = format.eventBytesMax;
  }

  get whole(): boolean {
    return this.last !== undefined;
  }

  read(event: SseEvent): Reading {
    // Some compatible servers send OpenAI's older terminator too; it is not part of these streams.
    if (isDone(event)) return {};
    const { format } = this;
    const type = typeOf(event);
    if (format.failed.includes(type)) return { failed: true };
    if (format.terminal.includes(type)) return this.terminal(event);
    // A compatible server's error without a type.
    if (type === "" && event.data.includes('"error"')) return { failed: true };
    if (!type.startsWith(format.prefix)) return {};
    if (type === format.headType) this.head = parsedEvent(event.data) ?? this.head;
    this.sequence += 1;
    const answerBytes = textBytesAt(event, format.textMarks);
    this.textSeen ||= answerBytes > 0;
    return { passAs: safeName(event.name) ?? "", answerBytes };
  }

  ending({ tokens, cost }: EndingFacts): readonly WireEvent[] {
    if (!this.last) return [];
    const { event, name } = this.last;
    const holder = this.format.holder(event);
    const reported = holder["usage"];
    const usage = this.believed && isObject(reported) ? reported : this.format.usage(tokens);
    const whole = this.format.withHolder(event, { ...holder, usage: { ...usage, ...cost } });
    this.last = undefined;
    return [{ name, data: JSON.stringify(whole) }];
  }

  stopAtHold(): readonly WireEvent[] {
    const event = this.format.atHold?.(this.head, this.sequence);
    if (event) this.last = { event, name: typeof event["type"] === "string" ? event["type"] : undefined };
    return [];
  }

  cut(error: CutError): readonly WireEvent[] {
    const events = this.format.cut?.(this.head, this.sequence, error) ?? [{ type: "error", error }];
    return events.map((event) => ({ name: String(event["type"]), data: JSON.stringify(event) }));
  }

  private terminal(raw: SseEvent): Reading {
    const event = parsedEvent(raw.data);
    if (!event) return { failed: true };
    const before = this.last;
    this.last = { event, name: safeName(raw.name) };
    this.terminals += 1;
    this.sequence += 1;
    const { usage: reported, output } = this.format.holder(event);
    const usage = tokensFromInputOutput(reported);
    const extra = this.format.extra?.(event);
    this.believed = usage !== undefined || extra?.usage !== undefined;
    // A server that sends no deltas has its whole answer here.
    const text = this.textSeen ? 0 : textBytesOf(output);
    return {
      ...(before ? { out: [this.asSent(before)] } : {}),
      ...(usage ? { usage } : {}),
      ...extra,
      answerBytes: (extra?.answerBytes ?? 0) + text,
      end: this.terminals >= this.format.terminals,
    };
  }

  /** An earlier one of several terminal events, without a cost: that is known with the last one. */
  private asSent({ event, name }: { readonly event: Json; readonly name: string | undefined }): WireEvent {
    const holder = this.format.holder(event);
    const sent = "usage" in holder ? { ...holder, usage: withoutCost(holder["usage"]) } : holder;
    return { name, data: JSON.stringify(this.format.withHolder(event, sent)) };
  }
}

/** Bytes of all text in a value but ids, types and roles. */
export function textBytesOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + textBytesOf(item), 0);
  if (!isObject(value)) return 0;
  return Object.entries(value).reduce((sum, [name, field]) => (notText.has(name) ? sum : sum + textBytesOf(field)), 0);
}

const notText: ReadonlySet<string> = new Set([
  "role",
  "id",
  "type",
  "call_id",
  "status",
  "name",
  "encrypted_content",
  "signature",
]);
