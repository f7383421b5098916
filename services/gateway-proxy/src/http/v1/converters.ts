import { convertRequest, type DialectName, type Exchange, type Refusal, type StreamConversion } from "@codex/dialects";
import type { AppError } from "@codex/kernel";
import type { Route } from "../../app/catalogue.ts";
import type { Outgoing } from "../../domain/endpoint.ts";
import { invalid } from "../../domain/fields.ts";
import type { Operation, TextDialect } from "../../domain/operation.ts";
import { kinds, speaks } from "../../upstream/kinds/index.ts";
import type { OutgoingCall } from "../../upstream/outgoing.ts";
import { unusable } from "./relay-json.ts";

/**
 * How a channel that does not speak an endpoint's dialect serves it all the same. The one place that knows who converts what:
 * the engine asks it for each channel, and a channel without a way is no candidate. The conversion itself is libs/dialects.
 */

/** `native`: the channel takes the endpoint's requests as they are. Undefined: it cannot serve them. */
export type Way = "native" | "converted" | undefined;

export function wayTo(operation: Operation, { kind }: Pick<Route, "kind">): Way {
  if (speaks(kind, operation)) return "native";
  return clientDialects[operation] !== undefined && kinds[kind].dialects.length > 0 ? "converted" : undefined;
}

const clientDialects: Readonly<Partial<Record<Operation, DialectName>>> = {
  chat: "chat",
  messages: "messages",
  responses: "responses",
};

const upstreamDialects: Readonly<Record<TextDialect, DialectName>> = {
  chat: "chat",
  messages: "messages",
  responses: "responses",
  generateContent: "gemini",
};

export interface ConversionRequest {
  /** The endpoint's own. */
  readonly operation: Operation;
  readonly route: Pick<Route, "kind" | "upstreamModel">;
  /** The request as a channel would get it that speaks the endpoint's dialect: without what no upstream may see (SEC-84). */
  readonly outgoing: Outgoing;
  /** Output bound of one answer that the hold covers. */
  readonly outputTokens: number;
  /** The model's name as the client knows it. */
  readonly model: string;
  readonly requestId: string;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
}

/** One request to one channel: what goes out, and how its answer comes back in the endpoint's dialect. */
export interface Converted {
  readonly call: OutgoingCall;
  /** Throws AppError (kind `upstream`) for what is no answer of the channel's dialect. */
  readonly answer: (answer: unknown) => ConvertedAnswer;
  readonly stream: () => StreamConversion;
}

export type ConvertedAnswer = Extract<ReturnType<Exchange["answer"]>, { readonly ok: true }>["value"];

/**
 * To the first of the kind's dialects that can say all that the request says. Throws AppError (kind `invalid`) that names what
 * the first of them cannot.
 */
export function convert(request: ConversionRequest): Converted {
  const { operation, route, outgoing } = request;
  const from = clientDialects[operation];
  if (from === undefined || !("source" in outgoing)) throw new Error(`${operation} is converted to nothing`);
  let refusal: Refusal | undefined;
  for (const to of kinds[route.kind].dialects) {
    const conversion = convertRequest({
      from,
      to: upstreamDialects[to],
      body: outgoing.body,
      upstreamModel: route.upstreamModel,
      outputTokensMax: request.outputTokens,
      // Who is known to take the extensions speaks every dialect itself; from anybody else they may earn a 400.
      chatExtensions: false,
    });
    if (conversion.ok) return convertedBy(conversion.value, to, request);
    refusal ??= conversion.refusal;
  }
  throw refusal === undefined ? new Error(`${route.kind} has no dialect`) : refusedAs(refusal);
}

function convertedBy(exchange: Exchange, operation: TextDialect, request: ConversionRequest): Converted {
  const { requestId: answerId, createdAt, model } = request;
  const options = { answerId, createdAt, model };
  return {
    call: { operation, body: bodyFor(exchange, operation, request), converted: true },
    answer: (answer) => {
      const conversion = exchange.answer(answer, options);
      if (conversion.ok) return conversion.value;
      throw unusable(`answer cannot be converted: ${conversion.refusal.message}`);
    },
    stream: () => exchange.streamed(options),
  };
}

/** A copy: the channel's kind completes it in place. */
function bodyFor({ body }: Exchange, operation: TextDialect, { route }: ConversionRequest): Record<string, unknown> {
  const name = kinds[route.kind].chatBound;
  if (operation !== "chat" || name === undefined) return { ...body };
  const { max_completion_tokens: bound, ...rest } = body;
  return bound === undefined ? rest : { ...rest, [name]: bound };
}

function refusedAs({ kind, path, message }: Refusal): AppError {
  return invalid(path, message, kind === "unsupported" ? "unsupported_parameter" : undefined);
}
