import { toAppError, type AppError } from "@codex/kernel";
import type { Route } from "../../app/catalogue.ts";
import { noRoute, RouteChoice, type Attempt } from "../../app/choose-route.ts";
import { jsonOutgoing, type JsonBody, type RequestBody } from "../../domain/endpoint.ts";
import { checkMessages, countFields, withheldFields } from "../../domain/endpoints/messages.ts";
import { checkedFields, invalid, modelOf, type Json } from "../../domain/fields.ts";
import { textOfParts } from "../../domain/request-text.ts";
import { outgoing } from "../../upstream/outgoing.ts";
import { readRefusal, type Refusal } from "../../upstream/refusal.ts";
import type { GatewayParts, KeyContext, V1Context } from "./context.ts";
import { blame, overloaded } from "./forward.ts";
import { readBody } from "./read-body.ts";
import { parseAnswer, readAnswer, unusable } from "./relay-json.ts";
import { sendJson } from "./send-json.ts";
import { wayTo } from "./converters.ts";

/**
 * POST /v1/messages/count_tokens: free, counted by the limits alone. Claude Code asks 34 times to draw one picture. Where no
 * channel of the model can count, we count ourselves, which is near enough for what clients do with it.
 */
export async function countTokens(parts: GatewayParts, context: KeyContext): Promise<void> {
  const { body: source, share } = await readBody(context.req, ["json"], parts.bodyMemory);
  try {
    const body = parse(source);
    const model = modelOf(body);
    context.facts.model = model.slice(0, 128);
    const { routes } = parts.catalogue.offer(model, context.key.models);
    const native = routes.filter((route) => wayTo("countTokens", route) === "native");
    const counted =
      native.length > 0 && source.kind === "json"
        ? await countUpstream(parts, context, source, model, native)
        : await countHere(parts, body);
    sendJson(context, { input_tokens: counted });
  } finally {
    share.release();
  }
}

function parse(source: RequestBody): Json {
  if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
  const body = checkedFields(source.value, countFields);
  checkMessages(body);
  return body;
}

async function countUpstream(
  parts: GatewayParts,
  context: V1Context,
  source: JsonBody,
  model: string,
  routes: readonly Route[],
): Promise<number> {
  const choice = new RouteChoice(routes, undefined, parts.clock);
  let failure: AppError | undefined;
  for (let attempt = choice.next(); attempt; attempt = choice.next()) {
    try {
      const refusal = await countBy(parts, context, source, model, attempt);
      if (typeof refusal === "number") return refusal;
      const { error, isFinal } = blame(attempt, choice, refusal);
      if (isFinal) throw error;
      failure = error;
    } catch (error) {
      failure = toAppError(error);
      if (context.clientGone.aborted || failure.kind === "invalid") throw failure;
      attempt.end("failure");
      choice.leave(attempt, true);
    } finally {
      attempt.end("neutral");
    }
  }
  throw failure ?? noRoute(routes, parts.clock.monotonicMs());
}

/** The count, or the channel's refusal. Throws AppError for an answer that is no count. */
async function countBy(
  parts: GatewayParts,
  context: V1Context,
  source: JsonBody,
  model: string,
  attempt: Attempt,
): Promise<number | Refusal> {
  const { route, key } = attempt;
  const changes = new Map<string, unknown>(withheldFields.map((name) => [name, undefined]));
  if (route.upstreamModel !== model) changes.set("model", route.upstreamModel);
  const call = { operation: "countTokens" as const, ...jsonOutgoing(source, changes) };
  const facts = {
    stream: false,
    requestId: context.requestId,
    clientHeaders: context.req.headers,
    signal: context.clientGone,
  };
  attempt.sent();
  const answer = await parts.upstream.call(outgoing(route, key, call, facts));
  if (answer.status !== 200) return readRefusal(route.kind, answer);
  attempt.answered();
  const { input_tokens: counted } = parseAnswer(await readAnswer(answer));
  if (typeof counted !== "number" || !Number.isSafeInteger(counted) || counted < 0)
    throw unusable("count is no number");
  attempt.end("success");
  return counted;
}

async function countHere(parts: GatewayParts, { system, tools, messages }: Json): Promise<number> {
  const text = textOfParts([system, tools, messages], Array.isArray(messages) ? messages.length : 0);
  const counted = text && (await parts.counter.count(text.pieces));
  if (!text || counted === undefined) throw overloaded();
  return counted + text.overheadTokens;
}
