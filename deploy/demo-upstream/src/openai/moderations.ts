import { randomUUID } from "node:crypto";
import { z } from "zod";
import { deliverPlain } from "../deliver.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";

const moderationBody = z.looseObject({
  model: z.string().min(1).default("demo-moderation"),
  input: z.union([z.string(), z.array(z.union([z.string(), z.looseObject({ type: z.string() })])).min(1)]),
});

const categories = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"];

/** `POST /v1/moderations`: a text that names a category is flagged for it. There is no usage, as with OpenAI. */
export async function moderations(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(moderationBody, context.body);
  const model = requireModel(context, body.model, "moderation");
  if (await faultAnswered(context, model, "openai")) return;
  const inputs = typeof body.input === "string" ? [body.input] : body.input;
  const results = inputs.map((input) => {
    const text = typeof input === "string" ? input : JSON.stringify(input);
    const found = Object.fromEntries(categories.map((name) => [name, text.includes(name)]));
    const scores = Object.fromEntries(categories.map((name) => [name, text.includes(name) ? 0.9 : 0.001]));
    return { flagged: Object.values(found).includes(true), categories: found, category_scores: scores };
  });
  const answer = { id: `modr-${randomUUID()}`, model: model.id, results };
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  await deliverPlain(exchange, { body: answer, usage: undefined, outputBytes: 0, tokens: 0 }, pace, model.fault);
}
