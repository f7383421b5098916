import { createHash } from "node:crypto";
import type { Command, Outcome } from "./operations-ports.ts";

/**
 * The command of one call. `operation` and `who` make the caller's key their own: two operators, or two operations, never
 * meet in one key. `input` is everything that must be equal for a repeat; bigint as decimal text.
 */
export function commandOf(operation: string, who: string, idempotencyKey: string, input: readonly unknown[]): Command {
  const text = JSON.stringify(input, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
  return {
    key: `${operation}:${who}:${idempotencyKey}`,
    inputHash: createHash("sha256").update(text).digest(),
  };
}

/** One word for the metric. */
export function outcomeName(outcome: Outcome<unknown>): string {
  if (!outcome.ok) return outcome.refused;
  return outcome.replayed ? "replayed" : "done";
}
