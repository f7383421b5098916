import type { Choice, Generation } from "../generate.ts";
import { dataFrame, type Frame } from "../http/sse.ts";
import { fragments, pieces } from "../text/pieces.ts";
import { textTokens } from "../usage.ts";
import { callId, finishReason, logprobsOf, type Envelope } from "./chat-reply.ts";

/** The events of a streamed chat completion, in the order OpenAI sends them. */

type Json = Readonly<Record<string, unknown>>;

export interface ChatStreamOptions {
  /** The usage to report in the last chunk; undefined = no such chunk. */
  readonly usage: Json | undefined;
  /** With `include_usage`, every chunk before the last carries `usage: null`. */
  readonly includeUsage: boolean;
  readonly logprobs: boolean;
}

interface Delta {
  readonly delta: Json;
  /** The generated text in it. */
  readonly text?: string;
  readonly finish?: string;
  readonly logprobs?: Json | undefined;
  /** Thinking that a client does not see but waits for. */
  readonly hiddenTokens?: number;
}

export function* chatFrames(envelope: Envelope, generation: Generation, options: ChatStreamOptions): Generator<Frame> {
  const base = { ...envelope, object: "chat.completion.chunk", service_tier: "default", system_fingerprint: "fp_demo" };
  const nullUsage = options.includeUsage ? { usage: null } : {};
  const streams = generation.choices.map((choice) => deltasOf(choice, options.logprobs));
  for (const [index, one] of interleaved(streams)) {
    const text = one.text ?? "";
    const logprobs = one.logprobs ?? null;
    yield dataFrame(
      { ...base, choices: [{ index, delta: one.delta, logprobs, finish_reason: one.finish ?? null }], ...nullUsage },
      { outputBytes: Buffer.byteLength(text), tokens: textTokens(text) + (one.hiddenTokens ?? 0) },
    );
  }
  if (options.includeUsage && options.usage) {
    yield dataFrame({ ...base, choices: [], usage: options.usage }, { usage: options.usage });
  }
  yield { wire: "data: [DONE]\n\n", terminator: true };
}

function* deltasOf(choice: Choice, logprobs: boolean): Generator<Delta> {
  const isCall = choice.toolCalls.length > 0;
  const refused = choice.finish === "refusal";
  yield { delta: { role: "assistant", content: isCall || refused ? null : "", refusal: null } };
  let hiddenTokens = textTokens(choice.reasoning);
  for (const text of pieces(choice.text)) {
    const delta = refused ? { refusal: text } : { content: text };
    yield { delta, text, hiddenTokens, logprobs: logprobs ? logprobsOf(text) : undefined };
    hiddenTokens = 0;
  }
  for (const [index, call] of choice.toolCalls.entries()) {
    const opening = { index, id: callId(call), type: "function", function: { name: call.name, arguments: "" } };
    yield { delta: { tool_calls: [opening] }, hiddenTokens };
    hiddenTokens = 0;
    for (const text of fragments(call.argumentsJson)) {
      yield { delta: { tool_calls: [{ index, function: { arguments: text } }] }, text };
    }
  }
  yield { delta: {}, finish: finishReason(choice), hiddenTokens };
}

/** One of each in turn, as choices are generated side by side. */
function* interleaved<T>(streams: readonly Generator<T>[]): Generator<[number, T]> {
  const open = new Map(streams.entries());
  while (open.size > 0) {
    for (const [index, stream] of open) {
      const next = stream.next();
      if (next.done === true) open.delete(index);
      else yield [index, next.value];
    }
  }
}
