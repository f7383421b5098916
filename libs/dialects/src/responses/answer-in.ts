import { logprobsIn } from "../chat/logprobs.ts";
import type { Answer, TokenLogprob } from "../model/answer.ts";
import { Fields, malformed, spotOf, type ConversionContext } from "../model/fields.ts";
import { listOr, objectOr } from "../model/parse-data.ts";
import type { JsonObject } from "../model/dialect.ts";
import { outputItemIn } from "./item-in.ts";
import { responsesStopIn } from "./response.ts";
import { responsesUsageIn } from "./usage.ts";

/** A whole response → model. Throws RefusedError of kind `upstream`, also for one that failed or did not end. */
export function responsesAnswerIn(context: ConversionContext, body: unknown): Answer {
  const fields = new Fields(context, spotOf(body, ""), "upstream");
  const items = fields.need("output", fields.list("output"));
  const parts = items
    .flatMap((spot) => outputItemIn(context, spot, "upstream"))
    // A provider that shows no reasoning sends an empty item.
    .filter((part) => part.type !== "reasoning" || part.text !== "" || part.seal !== undefined);
  const stop = responsesStopIn(objectOr(body), parts);
  if (stop === undefined)
    throw malformed("upstream", fields.at("status"), "completed, or incomplete with a known reason");
  const usage = responsesUsageIn(fields.value("usage"));
  const logprobs = items.flatMap(({ value }) => itemLogprobs(objectOr(value)));
  return {
    id: fields.text("id") ?? "",
    model: fields.text("model") ?? "",
    candidates: [{ parts, stop, ...(logprobs.length === 0 ? {} : { logprobs }) }],
    ...(usage === undefined ? {} : { usage }),
  };
}

function itemLogprobs(item: JsonObject): readonly TokenLogprob[] {
  return listOr(item["content"]).flatMap((part) => logprobsIn(objectOr(part)["logprobs"]) ?? []);
}
