import { openAiFaultKind } from "../chat/error-in.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault } from "../model/events.ts";
import { objectOr, textOr, upstreamFault } from "../model/parse-data.ts";

/** An `error` event, a failed response, or an error body. */
export function responsesFaultIn(body: JsonObject): Fault {
  const nested = objectOr(objectOr(body["response"])["error"] ?? body["error"]);
  const error = Object.keys(nested).length > 0 ? nested : body;
  const words = [error["code"], error["type"]].filter((word) => typeof word === "string");
  const detail = [...words, textOr(error["message"], "")].join(": ");
  return { ...upstreamFault(detail), kind: openAiFaultKind(words, error["code"]) };
}
