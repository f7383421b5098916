import type { TokenLogprob } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import { listOr, objectOr, textOr } from "../model/parse-data.ts";

/** Entries of `logprobs.content`, which chat and responses share; what is not of that shape is left out. */
export function logprobsIn(list: unknown): readonly TokenLogprob[] | undefined {
  const tokens = listOr(list).map((entry) => ({
    ...tokenIn(entry),
    top: listOr(objectOr(entry)["top_logprobs"]).map(tokenIn),
  }));
  return tokens.length === 0 ? undefined : tokens;
}

function tokenIn(entry: unknown): { token: string; logprob: number; bytes?: number[] } {
  const { token, logprob, bytes } = objectOr(entry);
  const known = Array.isArray(bytes) ? bytes.filter((byte) => typeof byte === "number") : undefined;
  return {
    token: textOr(token, ""),
    logprob: typeof logprob === "number" ? logprob : 0,
    ...(known === undefined ? {} : { bytes: known }),
  };
}

export function logprobsOut(logprobs: readonly TokenLogprob[]): readonly JsonObject[] {
  return logprobs.map((entry) => ({ ...tokenOut(entry), top_logprobs: entry.top.map(tokenOut) }));
}

function tokenOut({
  token,
  logprob,
  bytes,
}: {
  token: string;
  logprob: number;
  bytes?: readonly number[];
}): JsonObject {
  return { token, logprob, bytes: bytes ?? [...new TextEncoder().encode(token)] };
}
