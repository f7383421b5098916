import { randomUUID } from "node:crypto";
import { z } from "zod";
import { deliverPlain } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { textTokens } from "../usage.ts";

const rerankBody = z.looseObject({
  model: z.string().min(1),
  query: z.string().min(1),
  documents: z
    .array(z.union([z.string(), z.looseObject({ text: z.string() })]))
    .min(1)
    .max(1_000),
  top_n: z.number().int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
});

/** `POST /v1/rerank`: by the share of the query's words that a document has; the usage is the text of both. */
export async function rerank(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(rerankBody, context.body);
  const model = requireModel(context, body.model, "rerank");
  if (await faultAnswered(context, model, "openai")) return;
  const documents = body.documents.map((one) => (typeof one === "string" ? one : one.text));
  const words = body.query.toLowerCase().split(/\s+/);
  const scored = documents.map((text, index) => {
    const found = words.filter((word) => text.toLowerCase().includes(word)).length;
    const document = body.return_documents === true ? { document: { text } } : {};
    return { index, relevance_score: found / words.length, ...document };
  });
  const total = textTokens(body.query) * documents.length + documents.reduce((sum, text) => sum + textTokens(text), 0);
  exchange.facts.trueUsage = { prompt: total, completion: 0 };
  const usage = reportedUsage(model.fault, { prompt_tokens: total, total_tokens: total });
  const results = scored.sort((a, b) => b.relevance_score - a.relevance_score).slice(0, body.top_n ?? documents.length);
  const answer = { id: `rr-${randomUUID()}`, model: model.id, results, ...(usage ? { usage } : {}) };
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  await deliverPlain(exchange, { body: answer, usage, outputBytes: 0, tokens: 0 }, pace, model.fault);
}
