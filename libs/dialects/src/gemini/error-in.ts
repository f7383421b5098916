import type { ErrorKind } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault } from "../model/events.ts";
import { objectOr, textOr, upstreamFault } from "../model/parse-data.ts";

/** `{error: {code, message, status}}` (google.rpc.Status as JSON), whole or in a stream. */
export function geminiFaultIn(body: JsonObject): Fault {
  const error = objectOr(body["error"]);
  const status = textOr(error["status"], "");
  return { ...upstreamFault(`${status}: ${textOr(error["message"], "")}`), kind: kindOf(status) };
}

function kindOf(status: string): ErrorKind {
  switch (status) {
    case "RESOURCE_EXHAUSTED":
      return "rate_limited";
    case "UNAVAILABLE":
      return "unavailable";
    case "DEADLINE_EXCEEDED":
      return "timeout";
    case "INVALID_ARGUMENT":
    case "FAILED_PRECONDITION":
    case "OUT_OF_RANGE":
      return "invalid";
    default:
      return "upstream";
  }
}
