import { createHash, randomUUID } from "node:crypto";
import type { Choice, Finish, ToolCall } from "../generate.ts";
import type { Usage } from "../usage.ts";

/** The plain answer of the Messages API, and the parts it shares with the stream. */

type Json = Readonly<Record<string, unknown>>;

export const newMessageId = (): string => `msg_${randomUUID().replaceAll("-", "").slice(0, 24)}`;
export const toolUseId = (call: ToolCall): string => `toolu_${call.id}`;

/** Input tokens exclude what the cache took part in, as Anthropic counts. */
export function messageUsage(usage: Usage): Json {
  const written = usage.cacheWrite5m + usage.cacheWrite1h;
  return {
    input_tokens: usage.prompt - usage.cacheRead - written,
    cache_creation_input_tokens: written,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWrite5m,
      ephemeral_1h_input_tokens: usage.cacheWrite1h,
    },
    output_tokens: usage.completion,
    service_tier: "standard",
  };
}

const stopReasons = {
  stop: "end_turn",
  "stop-sequence": "stop_sequence",
  length: "max_tokens",
  "tool-calls": "tool_use",
  refusal: "refusal",
} as const satisfies Record<Finish, string>;

export const stopReason = (choice: Choice): string => stopReasons[choice.finish];

/** Opaque to clients, who must send it back unchanged; here a hash of the thought. */
export function signatureOf(thinking: string): string {
  return createHash("sha512").update(`demo ${thinking}`).digest("base64");
}

/** A cut call's arguments are not JSON; the plain answer shows an empty input, as nothing could be parsed. */
function parsedInput(call: ToolCall): unknown {
  try {
    return JSON.parse(call.argumentsJson) as unknown;
  } catch {
    return {};
  }
}

function blocksOf(choice: Choice): Json[] {
  const thinking = choice.reasoning;
  return [
    ...(thinking === "" ? [] : [{ type: "thinking", thinking, signature: signatureOf(thinking) }]),
    ...(choice.text === "" ? [] : [{ type: "text", text: choice.text }]),
    ...choice.toolCalls.map((call) => ({
      type: "tool_use",
      id: toolUseId(call),
      name: call.name,
      input: parsedInput(call),
    })),
  ];
}

/** UTF-8 bytes of what was generated and is visible; here thinking is. */
export function visibleBytes(choice: Choice): number {
  const calls = choice.toolCalls.reduce((sum, call) => sum + Buffer.byteLength(call.argumentsJson), 0);
  return Buffer.byteLength(choice.reasoning) + Buffer.byteLength(choice.text) + calls;
}

export function messageReply(id: string, model: string, choice: Choice, usage: Json | undefined): Json {
  return {
    id,
    type: "message",
    role: "assistant",
    model,
    content: blocksOf(choice),
    stop_reason: stopReason(choice),
    stop_sequence: choice.stopSequence ?? null,
    ...(usage ? { usage } : {}),
  };
}
