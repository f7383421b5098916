import type { Answer, Candidate } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext } from "../model/events.ts";
import { logprobsOut } from "./logprobs.ts";
import { answerMessageOut } from "./message-out.ts";
import { chatStopOut } from "./stop.ts";
import { chatUsageOut } from "./usage.ts";

/** Model → a whole chat completion. */
export function chatAnswerOut(output: OutputContext, answer: Answer): JsonObject {
  const { usage } = answer;
  return {
    id: answer.id === "" ? output.answerId : answer.id,
    object: "chat.completion",
    created: output.createdAt,
    model: output.model,
    choices: answer.candidates.map(choiceOut),
    ...(usage === undefined ? {} : { usage: { ...chatUsageOut(usage), ...output.usageExtras?.(usage) } }),
  };
}

function choiceOut(candidate: Candidate, index: number): JsonObject {
  const inWords = candidate.parts.some(({ type }) => type === "refusal");
  const logprobs = candidate.logprobs && { content: logprobsOut(candidate.logprobs), refusal: null };
  return {
    index,
    message: answerMessageOut(candidate.parts),
    logprobs: logprobs ?? null,
    finish_reason: chatStopOut(candidate.stop, inWords),
  };
}
