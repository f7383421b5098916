import { deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { generate } from "../generate.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { ApiError, errorBody, scriptedError } from "../http/errors.ts";
import { eventFrame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { visibleBytes } from "./chat-reply.ts";
import { finishedResponse, newResponse, outputItems, responsesUsage } from "./responses-reply.ts";
import { responsesBody, toGeneration, type ResponsesBody } from "./responses-request.ts";
import { responsesFrames } from "./responses-stream.ts";

/** `POST /v1/responses`. Nothing is stored, whatever `store` says. */
export async function responses(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(responsesBody, context.body);
  exchange.facts.stream = body.stream ?? false;
  const model = requireModel(context, body.model, "text");
  if (await faultAnswered(context, model, "openai")) return;
  refuseReferences(body);

  const generation = generate(toGeneration(body, model));
  const [choice] = generation.choices;
  if (!choice) throw new Error("a response is generated with exactly one choice");
  exchange.facts.trueUsage = { ...generation.usage };
  const usage = reportedUsage(model.fault, responsesUsage(generation.usage));
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  const base = newResponse(body, model.id);

  if (body.stream !== true) {
    const answer = finishedResponse(base, choice, outputItems(choice), usage);
    const tokens = generation.usage.completion;
    await deliverPlain(
      exchange,
      { body: answer, usage, outputBytes: visibleBytes([choice]), tokens },
      pace,
      model.fault,
    );
    return;
  }
  const { error } = errorBody("openai", scriptedError(model.id, 500, undefined), exchange.requestId);
  const failure = eventFrame({ ...(error as object), type: "error", sequence_number: 0 });
  await deliverStream(exchange, responsesFrames(base, choice, usage), pace, model.fault, failure);
}

/** As OpenAI answers an id that it does not know; here none is known. */
function refuseReferences({ input }: ResponsesBody): void {
  if (typeof input === "string") return;
  const reference = input.find(({ type }) => type === "item_reference");
  if (reference === undefined) return;
  throw new ApiError({ status: 404, message: `Item with id '${String(reference["id"])}' not found.`, param: "input" });
}
