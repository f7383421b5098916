import type { AssistantPart } from "./parts.ts";
import type { Usage } from "./usage.ts";

/**
 * Why the model stopped, as the union of what the dialects tell apart.
 *   end             said all it wanted
 *   stop_sequence   met a stop sequence of the client
 *   max_tokens      met the bound of the answer
 *   context_window  met the bound of the model
 *   tool_calls      waits for results
 *   refusal         the model declined
 *   content_filter  the provider's filter cut the prompt or the answer
 *   pause           the provider paused a long turn; the client may send it back to go on
 */
export const stopReasons = [
  "end",
  "stop_sequence",
  "max_tokens",
  "context_window",
  "tool_calls",
  "refusal",
  "content_filter",
  "pause",
] as const;
export type StopReason = (typeof stopReasons)[number];

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  /** UTF-8 bytes of the token; absent where the dialect does not tell. */
  readonly bytes?: readonly number[];
  readonly top: readonly { readonly token: string; readonly logprob: number; readonly bytes?: readonly number[] }[];
}

export interface Candidate {
  readonly parts: readonly AssistantPart[];
  readonly stop: StopReason;
  /** The sequence that was met, where the dialect tells. */
  readonly stopSequence?: string;
  readonly logprobs?: readonly TokenLogprob[];
}

export interface Answer {
  readonly id: string;
  readonly model: string;
  /** At least one; several when the client asked for several. */
  readonly candidates: readonly Candidate[];
  /** Undefined when the provider gave none that can be believed. */
  readonly usage?: Usage;
}

/** A refusal in words is a refusal, whatever reason the provider gave beside it. */
export function stopOf(parts: readonly AssistantPart[], stop: StopReason): StopReason {
  if (stop !== "end") return stop;
  if (parts.some(({ type }) => type === "refusal")) return "refusal";
  return parts.some(({ type }) => type === "tool_call") ? "tool_calls" : "end";
}
