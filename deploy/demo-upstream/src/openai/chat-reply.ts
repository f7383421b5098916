import { randomUUID } from "node:crypto";
import type { Choice, Generation, ToolCall } from "../generate.ts";
import { pieces } from "../text/pieces.ts";
import type { Usage } from "../usage.ts";

/** The plain answer of chat completions, and the parts it shares with the stream. */

type Json = Readonly<Record<string, unknown>>;

export interface Envelope {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

export function newEnvelope(model: string): Envelope {
  return { id: `chatcmpl-${randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1_000), model };
}

export function chatUsage(usage: Usage): Json {
  return {
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
    prompt_tokens_details: { cached_tokens: usage.cacheRead, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

export function finishReason(choice: Choice): string {
  switch (choice.finish) {
    case "stop":
    case "stop-sequence":
    case "refusal":
      return "stop";
    case "length":
      return "length";
    case "tool-calls":
      return "tool_calls";
  }
}

export const callId = (call: ToolCall): string => `call_${call.id}`;

/** One entry a piece; the probability is made up and always the same. */
export function logprobsOf(text: string): Json {
  const content = pieces(text).map((token) => ({
    token,
    logprob: -0.1,
    bytes: [...Buffer.from(token)],
    top_logprobs: [],
  }));
  return { content, refusal: null };
}

/** UTF-8 bytes of what was generated and is visible in the answer. */
export function visibleBytes(choices: readonly Choice[]): number {
  return choices.reduce((sum, choice) => {
    const calls = choice.toolCalls.reduce((all, call) => all + Buffer.byteLength(call.argumentsJson), 0);
    return sum + Buffer.byteLength(choice.text) + calls;
  }, 0);
}

function messageOf(choice: Choice): Json {
  const refused = choice.finish === "refusal";
  const calls = choice.toolCalls.map((call) => ({
    id: callId(call),
    type: "function",
    function: { name: call.name, arguments: call.argumentsJson },
  }));
  return {
    role: "assistant",
    content: refused || calls.length > 0 ? null : choice.text,
    refusal: refused ? choice.text : null,
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
    annotations: [],
  };
}

export function chatReply(
  envelope: Envelope,
  generation: Generation,
  options: { readonly usage: Json | undefined; readonly logprobs: boolean },
): Json {
  return {
    ...envelope,
    object: "chat.completion",
    choices: generation.choices.map((choice, index) => ({
      index,
      message: messageOf(choice),
      logprobs: options.logprobs ? logprobsOf(choice.text) : null,
      finish_reason: finishReason(choice),
    })),
    ...(options.usage ? { usage: options.usage } : {}),
    service_tier: "default",
    system_fingerprint: "fp_demo",
  };
}
