import { deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { generate } from "../generate.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, scriptedError } from "../http/errors.ts";
import { dataFrame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { chatReply, chatUsage, newEnvelope, visibleBytes } from "./chat-reply.ts";
import { chatBody, toGeneration } from "./chat-request.ts";
import { chatFrames } from "./chat-stream.ts";

/** `POST /v1/chat/completions`. */
export async function chatCompletions(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(chatBody, context.body);
  exchange.facts.stream = body.stream ?? false;
  const model = requireModel(context, body.model, "text");
  if (await faultAnswered(context, model, "openai")) return;

  const generation = generate(toGeneration(body, model));
  exchange.facts.trueUsage = { ...generation.usage };
  const usage = reportedUsage(model.fault, chatUsage(generation.usage));
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  const envelope = newEnvelope(model.id);
  const logprobs = body.logprobs ?? false;

  if (body.stream !== true) {
    const answer = chatReply(envelope, generation, { usage, logprobs });
    const outputBytes = visibleBytes(generation.choices);
    await deliverPlain(
      exchange,
      { body: answer, usage, outputBytes, tokens: generation.usage.completion },
      pace,
      model.fault,
    );
    return;
  }
  const includeUsage = body.stream_options?.include_usage ?? false;
  const frames = chatFrames(envelope, generation, { usage, includeUsage, logprobs });
  const error = dataFrame(errorBody("openai", scriptedError(model.id, 500, undefined), exchange.requestId));
  await deliverStream(exchange, frames, pace, model.fault, error);
}
