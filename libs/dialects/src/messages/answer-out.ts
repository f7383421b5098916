import type { Answer } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext } from "../model/events.ts";
import { noUsage } from "../model/usage.ts";
import { answerBlock } from "./block-out.ts";
import { stopFields } from "./stop.ts";
import { messagesUsageOut } from "./usage.ts";

/** Model → a whole message. The first candidate is the answer: there is no way to ask for several here. */
export function messagesAnswerOut(output: OutputContext, answer: Answer): JsonObject {
  const [candidate] = answer.candidates;
  const parts = candidate?.parts ?? [];
  const refusal = parts.flatMap((part) => (part.type === "refusal" ? [part.text] : [])).join("");
  const blocks = parts.filter((part) => part.type !== "refusal" && (part.type !== "text" || part.text !== ""));
  return {
    id: answer.id === "" ? output.answerId : answer.id,
    type: "message",
    role: "assistant",
    model: output.model,
    content: blocks.map((part) => answerBlock(part, ({ name }) => name)),
    ...stopFields(candidate?.stop ?? "end", candidate?.stopSequence, refusal),
    usage: {
      ...messagesUsageOut(answer.usage ?? noUsage),
      ...(answer.usage === undefined ? {} : output.usageExtras?.(answer.usage)),
    },
  };
}
