import type { TokenLogprob } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import { listOr, objectOr, textOr } from "../model/parse-data.ts";

/** `logprobsResult`: the chosen tokens and, by the same index, their alternatives. */
export function geminiLogprobsIn(value: unknown): readonly TokenLogprob[] | undefined {
  const result = objectOr(value);
  const top = listOr(result["topCandidates"]);
  const tokens = listOr(result["chosenCandidates"]).map((entry, index) => ({
    ...tokenIn(entry),
    top: listOr(objectOr(top[index])["candidates"]).map(tokenIn),
  }));
  return tokens.length === 0 ? undefined : tokens;
}

function tokenIn(entry: unknown): { token: string; logprob: number } {
  const { token, logProbability } = objectOr(entry);
  return { token: textOr(token, ""), logprob: typeof logProbability === "number" ? logProbability : 0 };
}

export function geminiLogprobsOut(logprobs: readonly TokenLogprob[]): JsonObject {
  const tokenOut = ({ token, logprob }: { token: string; logprob: number }): JsonObject => ({
    token,
    logProbability: logprob,
  });
  return {
    chosenCandidates: logprobs.map(tokenOut),
    topCandidates: logprobs.map(({ top }) => ({ candidates: top.map(tokenOut) })),
  };
}
