import { deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { generate } from "../generate.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, invalidRequest, scriptedError } from "../http/errors.ts";
import { eventFrame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { promptTokens } from "../usage.ts";
import { messageReply, messageUsage, newMessageId, visibleBytes } from "./message-reply.ts";
import { countBody, messageBody, messageItems, toGeneration } from "./message-request.ts";
import { messageFrames } from "./message-stream.ts";

/** Any version is taken; Anthropic refuses a request without one. */
function requireVersion({ exchange }: Context): void {
  if (exchange.req.headers["anthropic-version"] === undefined) {
    throw invalidRequest("anthropic-version: header is required");
  }
}

/** `POST /v1/messages`. */
export async function messages(context: Context): Promise<void> {
  const { exchange } = context;
  requireVersion(context);
  const body = parseBody(messageBody, context.body);
  exchange.facts.stream = body.stream ?? false;
  const model = requireModel(context, body.model, "text");
  if (await faultAnswered(context, model, "anthropic")) return;

  const generation = generate(toGeneration(body, model));
  const [choice] = generation.choices;
  if (!choice) throw new Error("a message is generated with exactly one choice");
  exchange.facts.trueUsage = { ...generation.usage };
  const usage = reportedUsage(model.fault, messageUsage(generation.usage));
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  const id = newMessageId();

  if (body.stream !== true) {
    const answer = messageReply(id, model.id, choice, usage);
    const tokens = generation.usage.completion;
    await deliverPlain(exchange, { body: answer, usage, outputBytes: visibleBytes(choice), tokens }, pace, model.fault);
    return;
  }
  const overloaded = errorBody("anthropic", scriptedError(model.id, 529, undefined), exchange.requestId);
  const error = eventFrame({ ...overloaded, type: "error" });
  await deliverStream(exchange, messageFrames(id, model.id, choice, usage), pace, model.fault, error);
}

/** `POST /v1/messages/count_tokens`: the whole input, cached or not. Takes no time and no usage. */
export async function countTokens(context: Context): Promise<void> {
  const { exchange } = context;
  requireVersion(context);
  const body = parseBody(countBody, context.body);
  const model = requireModel(context, body.model, "text");
  if (await faultAnswered(context, model, "anthropic")) return;
  exchange.res.writeHead(200, { "content-type": "application/json" });
  await exchange.end(JSON.stringify({ input_tokens: promptTokens(messageItems(body)) }));
}
