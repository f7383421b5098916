import type { ErrorKind } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault } from "../model/events.ts";
import { objectOr, textOr, upstreamFault } from "../model/parse-data.ts";

/** `{type: "error", error: {type, message}}`, whole or in a stream (docs.claude.com/en/api/errors, read 2026-11). */
export function messagesFaultIn(body: JsonObject): Fault {
  const error = objectOr(body["error"]);
  const type = textOr(error["type"], "");
  return { ...upstreamFault(`${type}: ${textOr(error["message"], "")}`), kind: kindOf(type) };
}

function kindOf(type: string): ErrorKind {
  switch (type) {
    case "rate_limit_error":
      return "rate_limited";
    case "overloaded_error":
      return "unavailable";
    case "timeout_error":
      return "timeout";
    case "invalid_request_error":
    case "request_too_large":
      return "invalid";
    default:
      return "upstream";
  }
}
