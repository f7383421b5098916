import { stopOf, type Answer, type Candidate } from "../model/answer.ts";
import { Fields, malformed, spotOf, type ConversionContext, type Spot } from "../model/fields.ts";
import { listOr, objectOr } from "../model/parse-data.ts";
import { logprobsIn } from "./logprobs.ts";
import { assistantPartsIn } from "./message-in.ts";
import { chatStopIn } from "./stop.ts";
import { chatUsageIn } from "./usage.ts";

/** A whole chat completion → model. Throws RefusedError of kind `upstream`. Fields that are not known are passed over. */
export function chatAnswerIn(context: ConversionContext, body: unknown): Answer {
  const fields = new Fields(context, spotOf(body, ""), "upstream");
  const choices = fields.need("choices", fields.list("choices"));
  if (choices.length === 0) throw malformed("upstream", fields.at("choices"), "an array with an entry");
  const usage = chatUsageIn(fields.value("usage"));
  return {
    id: fields.text("id") ?? "",
    model: fields.text("model") ?? "",
    candidates: choices.map((spot) => candidateIn(context, spot)),
    ...(usage === undefined ? {} : { usage }),
  };
}

function candidateIn(context: ConversionContext, spot: Spot): Candidate {
  const choice = new Fields(context, spot, "upstream");
  const message = choice.need("message", choice.fields("message"));
  const stop = chatStopIn(choice.value("finish_reason"));
  if (stop === undefined) throw malformed("upstream", choice.at("finish_reason"), "a known reason");
  if (listOr(message.value("annotations")).length > 0) context.dropped.add("annotations");
  const parts = assistantPartsIn(context, message, "upstream");
  const logprobs = logprobsIn(objectOr(choice.value("logprobs"))["content"]);
  return { parts, stop: stopOf(parts, stop), ...(logprobs === undefined ? {} : { logprobs }) };
}
