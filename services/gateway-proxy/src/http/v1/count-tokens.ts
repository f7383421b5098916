import { toAppError } from "@codex/kernel";
import type { ResolvedKey } from "../../app/key-cache.ts";
import type { JsonBody, RequestBody } from "../../domain/endpoint.ts";
import { anthropicHeaders, checkMessages, countFields, withheldFields } from "../../domain/endpoints/messages.ts";
import { checkedFields, invalid, modelOf, type Json } from "../../domain/fields.ts";
import { withMembers } from "../../domain/json-scan.ts";
import { textOfParts } from "../../domain/request-text.ts";
import type { GatewayParts, V1Context } from "./context.ts";
import { clientHeaders } from "./client-headers.ts";
import { overloaded } from "./forward.ts";
import { readBody } from "./read-body.ts";
import { parseAnswer, readAnswer, unusable } from "./relay-json.ts";
import { sendJson } from "./send-json.ts";
import { callRoute } from "./call-route.ts";
import { wayTo } from "./converters.ts";

/**
 * POST /v1/messages/count_tokens: free, counted by the limits alone. Claude Code asks 34 times to draw one picture. Where no
 * channel of the model can count, we count ourselves, which is near enough for what clients do with it.
 */
export async function countTokens(parts: GatewayParts, context: V1Context, key: ResolvedKey): Promise<void> {
  const { body: source, share } = await readBody(context.req, ["json"], parts.bodyMemory);
  try {
    const body = parse(source);
    const model = modelOf(body);
    context.facts.model = model.slice(0, 128);
    const { routes } = parts.catalogue.offer(model, key.models);
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
  routes: Parameters<typeof callRoute>[2][],
): Promise<number> {
  let failure: unknown;
  for (const route of routes) {
    const changes = new Map<string, string | undefined>(withheldFields.map((name) => [name, undefined]));
    if (route.upstreamModel !== model) changes.set("model", JSON.stringify(route.upstreamModel));
    const call = {
      operation: "countTokens" as const,
      body: withMembers(source.bytes, source.members, changes),
      headers: clientHeaders(context.req, anthropicHeaders),
    };
    try {
      const { input_tokens: counted } = parseAnswer(
        await readAnswer(await callRoute(parts, context, route, call, false)),
      );
      if (typeof counted === "number" && Number.isSafeInteger(counted) && counted >= 0) return counted;
      throw unusable("count is no number");
    } catch (error) {
      if (context.clientGone.aborted || toAppError(error).kind === "invalid") throw error;
      failure = error;
    }
  }
  throw failure ?? overloaded();
}

async function countHere(parts: GatewayParts, { system, tools, messages }: Json): Promise<number> {
  const text = textOfParts([system, tools, messages], Array.isArray(messages) ? messages.length : 0);
  const counted = text && (await parts.counter.count(text.pieces));
  if (!text || counted === undefined) throw overloaded();
  return counted + text.overheadTokens;
}
