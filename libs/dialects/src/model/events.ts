import type { ErrorKind } from "@codex/kernel";
import type { StopReason, TokenLogprob } from "./answer.ts";
import type { Usage } from "./usage.ts";

/**
 * A stream of an answer. Order, per candidate: `start`, then parts one after the other (`part_start`, `delta` and `seal`,
 * `part_end`), then `finish`; then `usage` at most once, and `end`. Parts are numbered from 0 without gaps, and at most one
 * part of a candidate is open at a time. `error` may come at any point and is the last event.
 */
export type StreamEvent =
  | { readonly type: "start"; readonly id: string; readonly model: string; readonly usage?: Usage }
  | { readonly type: "part_start"; readonly candidate: number; readonly index: number; readonly part: PartOpening }
  | {
      readonly type: "delta";
      readonly candidate: number;
      /** Text of the open part; for a tool call, the next piece of its arguments. */
      readonly text: string;
      readonly logprobs?: readonly TokenLogprob[];
    }
  | { readonly type: "seal"; readonly candidate: number; readonly seal: string }
  | { readonly type: "part_end"; readonly candidate: number }
  | {
      readonly type: "finish";
      readonly candidate: number;
      readonly stop: StopReason;
      readonly stopSequence?: string;
    }
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "end" }
  | { readonly type: "error"; readonly fault: Fault };

export type PartOpening =
  | { readonly type: "text" }
  | { readonly type: "refusal" }
  | { readonly type: "reasoning"; readonly redacted: boolean }
  | {
      readonly type: "tool_call";
      readonly id: string;
      readonly name: string;
      readonly namespace?: string;
      readonly custom: boolean;
    };

/** What went wrong at the provider. */
export interface Fault {
  readonly kind: ErrorKind;
  /** The provider's own words, for our log only: they may quote the prompt or name our account. */
  readonly detail: string;
  /** Our own sentence and code, where the gateway itself ends the answer; they are shown as they are. */
  readonly shown?: { readonly message: string; readonly code: string };
}

/** One event of a server-sent stream, as read or to be written. */
export interface WireEvent {
  /** "" when the dialect names no events. */
  readonly event: string;
  readonly data: string;
}

/** Reads one answer's stream; what it keeps does not grow with the stream. */
export interface StreamIn {
  readonly push: (event: WireEvent) => StreamEvent[];
  /** The connection ended. An answer that had not ended yields an `error`. */
  readonly end: () => StreamEvent[];
}

export interface StreamOut {
  readonly push: (event: StreamEvent) => WireEvent[];
}

/** Facts of ours that the written answer carries. */
export interface OutputContext {
  /** Our id of the request; ids are derived from it where the provider gives none. */
  readonly answerId: string;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
  /** The model's name as the client knows it. */
  readonly model: string;
  /** Whether the client asked for usage in a chat stream. */
  readonly streamUsage: boolean;
  /** Fields of ours beside the token counts, such as the cost; called once, when the usage is written. */
  readonly usageExtras?: (usage: Usage) => Readonly<Record<string, unknown>>;
}
