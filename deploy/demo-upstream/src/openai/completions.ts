import { randomUUID } from "node:crypto";
import { z } from "zod";
import { deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { generate } from "../generate.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, scriptedError } from "../http/errors.ts";
import { dataFrame, type Frame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { pieces } from "../text/pieces.ts";
import { noCache, textTokens } from "../usage.ts";
import { chatUsage, finishReason, visibleBytes } from "./chat-reply.ts";

const completionBody = z.looseObject({
  model: z.string().min(1),
  prompt: z.union([z.string(), z.array(z.string()).min(1)]),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.number().int().min(1).max(128).nullish(),
  max_tokens: z.number().int().min(1).max(10_000_000).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
});

/** `POST /v1/completions`: one prompt, the older text API. */
export async function completions(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(completionBody, context.body);
  exchange.facts.stream = body.stream ?? false;
  const model = requireModel(context, body.model, "text");
  if (await faultAnswered(context, model, "openai")) return;
  const prompt = typeof body.prompt === "string" ? body.prompt : body.prompt.join("\n");
  const generation = generate({
    model,
    items: [{ role: "user", text: prompt, media: 0 }],
    cache: noCache,
    userText: prompt,
    toolResult: undefined,
    choices: body.n ?? 1,
    outputTokensMax: body.max_tokens ?? 16,
    stops: typeof body.stop === "string" ? [body.stop] : (body.stop ?? []),
    tools: [],
    toolChoice: { kind: "none" },
    parallelToolCalls: false,
    thinkingRounds: 0,
    jsonSchema: undefined,
  });
  exchange.facts.trueUsage = { ...generation.usage };
  const usage = reportedUsage(model.fault, chatUsage(generation.usage));
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  const base = {
    id: `cmpl-${randomUUID().replaceAll("-", "")}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1_000),
    model: model.id,
  };
  const { choices } = generation;
  if (body.stream !== true) {
    const listed = choices.map((choice, index) => ({
      ...choiceOf(index, choice.text),
      finish_reason: finishReason(choice),
    }));
    const answer = { ...base, choices: listed, ...(usage ? { usage } : {}) };
    const tokens = generation.usage.completion;
    await deliverPlain(
      exchange,
      { body: answer, usage, outputBytes: visibleBytes(choices), tokens },
      pace,
      model.fault,
    );
    return;
  }
  const frames = function* (): Generator<Frame> {
    for (const [index, choice] of choices.entries()) {
      for (const text of pieces(choice.text)) {
        const facts = { outputBytes: Buffer.byteLength(text), tokens: textTokens(text) };
        yield dataFrame({ ...base, choices: [choiceOf(index, text)] }, facts);
      }
      yield dataFrame({ ...base, choices: [{ ...choiceOf(index, ""), finish_reason: finishReason(choice) }] });
    }
    if (usage && body.stream_options?.include_usage === true)
      yield dataFrame({ ...base, choices: [], usage }, { usage });
    yield { wire: "data: [DONE]\n\n", terminator: true };
  };
  const error = dataFrame(errorBody("openai", scriptedError(model.id, 500, undefined), exchange.requestId));
  await deliverStream(exchange, frames(), pace, model.fault, error);
}

function choiceOf(index: number, text: string): Readonly<Record<string, unknown>> {
  return { index, text, logprobs: null, finish_reason: null };
}
