import type { ErrorKind } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault } from "../model/events.ts";
import { objectOr, textOr, upstreamFault } from "../model/parse-data.ts";

/** An error inside a stream, or an error body: `{error: {message, type, code}}`. OpenRouter's code is the HTTP status. */
export function chatFaultIn(body: JsonObject): Fault {
  const error = objectOr(body["error"]);
  const words = [error["type"], error["code"], error["status"]].filter((word) => typeof word === "string");
  const detail = [...words, textOr(error["message"], textOr(body["error"], ""))].join(": ");
  return { ...upstreamFault(detail), kind: openAiFaultKind(words, error["code"]) };
}

/** Only what a later attempt can heal is told apart; the rest is the provider's failure, or ours towards it. */
export function openAiFaultKind(words: readonly string[], code: unknown): ErrorKind {
  if (code === 429 || words.some((word) => /rate_limit|insufficient_quota/.test(word))) return "rate_limited";
  if (code === 503 || code === 529 || words.some((word) => /overloaded|unavailable/.test(word))) return "unavailable";
  if (code === 504 || code === 408 || words.some((word) => word.includes("timeout"))) return "timeout";
  if (words.some((word) => /invalid_request|invalid_prompt|context_length/.test(word))) return "invalid";
  return "upstream";
}
