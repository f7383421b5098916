import type { Choice } from "../generate.ts";
import { eventFrame, type Frame } from "../http/sse.ts";
import { fragments, pieces } from "../text/pieces.ts";
import { textTokens } from "../usage.ts";
import { signatureOf, stopReason, toolUseId } from "./message-reply.ts";

/** The events of a streamed message, in the order Anthropic sends them. */

type Json = Readonly<Record<string, unknown>>;

interface Block {
  readonly start: Json;
  readonly deltas: Iterable<{ readonly delta: Json; readonly text: string }>;
}

function* blocksOf(choice: Choice): Generator<Block> {
  const { reasoning, text } = choice;
  if (reasoning !== "") {
    yield { start: { type: "thinking", thinking: "", signature: "" }, deltas: thinkingDeltas(reasoning) };
  }
  if (text !== "") {
    const deltas = pieces(text).map((piece) => ({ delta: { type: "text_delta", text: piece }, text: piece }));
    yield { start: { type: "text", text: "" }, deltas };
  }
  for (const call of choice.toolCalls) {
    // Anthropic opens the arguments with an empty fragment.
    const deltas = ["", ...fragments(call.argumentsJson)].map((fragment) => ({
      delta: { type: "input_json_delta", partial_json: fragment },
      text: fragment,
    }));
    yield { start: { type: "tool_use", id: toolUseId(call), name: call.name, input: {} }, deltas };
  }
}

function* thinkingDeltas(thinking: string): Generator<{ delta: Json; text: string }> {
  for (const piece of pieces(thinking)) yield { delta: { type: "thinking_delta", thinking: piece }, text: piece };
  yield { delta: { type: "signature_delta", signature: signatureOf(thinking) }, text: "" };
}

/**
 * `usage` is what the whole answer reports; undefined = no event carries any. As with Anthropic, the first event has the
 * input side and one output token, the last but one has all of it, cumulative.
 */
export function* messageFrames(id: string, model: string, choice: Choice, usage: Json | undefined): Generator<Frame> {
  const first = usage && { ...usage, output_tokens: usage["output_tokens"] === 0 ? 0 : 1 };
  const message = {
    id,
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
  yield eventFrame(
    { type: "message_start", message: { ...message, ...(first ? { usage: first } : {}) } },
    { usage: first },
  );
  let index = 0;
  for (const { start, deltas } of blocksOf(choice)) {
    yield eventFrame({ type: "content_block_start", index, content_block: start });
    if (index === 0) yield eventFrame({ type: "ping" });
    for (const { delta, text } of deltas) {
      const facts = { outputBytes: Buffer.byteLength(text), tokens: textTokens(text) };
      yield eventFrame({ type: "content_block_delta", index, delta }, facts);
    }
    yield eventFrame({ type: "content_block_stop", index });
    index += 1;
  }
  const delta = { stop_reason: stopReason(choice), stop_sequence: choice.stopSequence ?? null };
  yield eventFrame({ type: "message_delta", delta, ...(usage ? { usage } : {}) }, { usage });
  yield eventFrame({ type: "message_stop" }, { terminator: true });
}
