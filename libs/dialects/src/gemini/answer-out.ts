import type { Answer, Candidate } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext } from "../model/events.ts";
import { geminiLogprobsOut } from "./logprobs.ts";
import { modelPartsOut } from "./part-out.ts";
import { geminiStopOut } from "./stop.ts";
import { geminiUsageOut } from "./usage.ts";

/** Model → a whole gemini answer. */
export function geminiAnswerOut(output: OutputContext, answer: Answer): JsonObject {
  const { usage } = answer;
  return {
    candidates: answer.candidates.map(candidateOut),
    ...(usage === undefined ? {} : { usageMetadata: { ...geminiUsageOut(usage), ...output.usageExtras?.(usage) } }),
    modelVersion: output.model,
    responseId: answer.id === "" ? output.answerId : answer.id,
  };
}

function candidateOut(candidate: Candidate, index: number): JsonObject {
  const refusal = candidate.parts.flatMap((part) => (part.type === "refusal" ? [part.text] : [])).join("");
  const parts = modelPartsOut(
    candidate.parts.filter(({ type }) => type !== "refusal"),
    ({ name }) => name,
    false,
  );
  return {
    content: { role: "model", parts },
    finishReason: geminiStopOut(candidate.stop),
    ...(refusal === "" ? {} : { finishMessage: refusal }),
    index,
    ...(candidate.logprobs === undefined ? {} : { logprobsResult: geminiLogprobsOut(candidate.logprobs) }),
  };
}
