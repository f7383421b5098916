import type { Answer } from "../model/answer.ts";
import { Fields, malformed, spotOf, type ConversionContext } from "../model/fields.ts";
import { objectOr, textOr } from "../model/parse-data.ts";
import type { AssistantPart } from "../model/parts.ts";
import { assistantBlockIn } from "./block-in.ts";
import { messagesStopIn } from "./stop.ts";
import { messagesUsageIn } from "./usage.ts";

/** A whole message → model. Throws RefusedError of kind `upstream`. Fields that are not known are passed over. */
export function messagesAnswerIn(context: ConversionContext, body: unknown): Answer {
  const fields = new Fields(context, spotOf(body, ""), "upstream");
  const content = fields.need("content", fields.list("content"));
  const parts = content.map((spot) => assistantBlockIn(context, spot, "upstream"));
  const stop = messagesStopIn(fields.value("stop_reason"));
  if (stop === undefined) throw malformed("upstream", fields.at("stop_reason"), "a known reason");
  const stopSequence = fields.text("stop_sequence");
  const usage = messagesUsageIn(fields.value("usage"));
  return {
    id: fields.text("id") ?? "",
    model: fields.text("model") ?? "",
    candidates: [
      {
        parts: [...parts, ...refusalIn(fields.value("stop_details"))],
        stop,
        ...(stopSequence === undefined ? {} : { stopSequence }),
      },
    ],
    ...(usage === undefined ? {} : { usage }),
  };
}

function refusalIn(details: unknown): AssistantPart[] {
  const text = refusalText(details);
  return text === "" ? [] : [{ type: "refusal", text }];
}

export function refusalText(details: unknown): string {
  return textOr(objectOr(details)["explanation"], "");
}
