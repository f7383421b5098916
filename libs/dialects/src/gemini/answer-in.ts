import { stopOf, type Answer, type Candidate } from "../model/answer.ts";
import { Fields, malformed, spotOf, type ConversionContext, type Spot } from "../model/fields.ts";
import { objectOr, textOr } from "../model/parse-data.ts";
import type { AssistantPart } from "../model/parts.ts";
import { geminiLogprobsIn } from "./logprobs.ts";
import { CallIds, modelPartsIn } from "./part-in.ts";
import { geminiStopIn } from "./stop.ts";
import { geminiUsageIn } from "./usage.ts";

/** A whole gemini answer → model. Throws RefusedError of kind `upstream`. Fields that are not known are passed over. */
export function geminiAnswerIn(context: ConversionContext, body: unknown, answerId: string): Answer {
  const fields = new Fields(context, spotOf(body, ""), "upstream");
  const id = fields.text("responseId") ?? "";
  const ids = new CallIds(id === "" ? answerId : id);
  const blocked = objectOr(fields.value("promptFeedback"))["blockReason"] !== undefined;
  const spots = fields.list("candidates") ?? [];
  if (spots.length === 0 && !blocked) throw malformed("upstream", fields.at("candidates"), "an array with an entry");
  const usage = geminiUsageIn(fields.value("usageMetadata"));
  return {
    id,
    model: fields.text("modelVersion") ?? "",
    candidates:
      spots.length === 0
        ? [{ parts: [], stop: "content_filter" }]
        : spots.map((spot) => candidateIn(context, spot, ids)),
    ...(usage === undefined ? {} : { usage }),
  };
}

function candidateIn(context: ConversionContext, spot: Spot, ids: CallIds): Candidate {
  const candidate = new Fields(context, spot, "upstream");
  const stop = geminiStopIn(candidate.value("finishReason"));
  if (stop === undefined) throw malformed("upstream", candidate.at("finishReason"), "a reason that leaves an answer");
  candidate.hint("annotations", "citationMetadata", "groundingMetadata");
  const spots = candidate.fields("content")?.list("parts") ?? [];
  const parts = [
    ...modelPartsIn(context, spots, ids, "upstream"),
    ...refusalIn(stop === "content_filter" ? candidate.value("finishMessage") : undefined),
  ];
  const logprobs = geminiLogprobsIn(candidate.value("logprobsResult"));
  return { parts, stop: stopOf(parts, stop), ...(logprobs === undefined ? {} : { logprobs }) };
}

function refusalIn(message: unknown): AssistantPart[] {
  const text = textOr(message, "");
  return text === "" ? [] : [{ type: "refusal", text }];
}
