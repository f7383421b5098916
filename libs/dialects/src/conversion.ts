import type { AppError } from "@codex/kernel";
import type { GeminiTarget } from "./gemini/request-in.ts";
import { dialects } from "./dialects.ts";
import { isObject, type DialectName, type JsonObject } from "./model/dialect.ts";
import type { Fault, OutputContext } from "./model/events.ts";
import { faultOf } from "./model/fault.ts";
import { malformed, type ConversionContext } from "./model/fields.ts";
import type { HintName } from "./model/hints.ts";
import { attempt, type Conversion } from "./model/refusal.ts";
import type { ConversationRequest } from "./model/request.ts";
import { toolNames, type ToolNames } from "./model/tool-names.ts";
import type { Usage } from "./model/usage.ts";
import { restoreAnswer } from "./restore.ts";
import { createStreamConversion, type StreamConversion } from "./stream-conversion.ts";

export interface RequestOptions {
  /** The client's dialect. */
  readonly from: DialectName;
  /** The provider's dialect. */
  readonly to: DialectName;
  /** The parsed body; not changed. Bodies are bounded in size, depth and keys before they come here (SEC-86). */
  readonly body: unknown;
  /** What a gemini client says in the URL; needed when `from` is `gemini`. */
  readonly url?: GeminiTarget;
  /** The model's name at the provider; without it, the client's. */
  readonly upstreamModel?: string;
  /** Most tokens that the answer may have: what the client asks for is lowered to it, and it is set where nothing is asked. */
  readonly outputTokensMax?: number;
  /** Whether a chat provider knows the common extensions (see {@link ChatTarget}); true unless said otherwise. */
  readonly chatExtensions?: boolean;
}

export interface AnswerOptions {
  /** Our id of the request; ids are derived from it where the provider gives none. */
  readonly answerId: string;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
  /** The model's name that the answer shows; without it, the one that the client asked for. */
  readonly model?: string;
  /** Fields of ours beside the token counts, such as the cost; called once, when the usage is written. */
  readonly usageExtras?: (usage: Usage) => JsonObject;
}

export interface ConvertedAnswer {
  readonly body: JsonObject;
  /** Undefined when the provider gave none that can be believed. */
  readonly usage: Usage | undefined;
}

/** One request on its way, with what its answer needs to come back in the client's words. */
export interface Exchange {
  /** For the provider. Gemini's model and streaming stand in its URL, not in here. */
  readonly body: JsonObject;
  readonly model: string;
  readonly stream: boolean;
  /** A whole answer of the provider, parsed. Refusals are of kind `upstream` or `unsupported`. */
  readonly answer: (body: unknown, options: AnswerOptions) => Conversion<ConvertedAnswer>;
  /** A stream of the provider, byte by byte. */
  readonly streamed: (options: AnswerOptions) => StreamConversion;
}

/** Client's body → provider's body. Pure; refusals are values, with the path in the client's body. */
export function convertRequest(options: RequestOptions): Conversion<Exchange> {
  const dropped = new Set<HintName>();
  const context: ConversionContext = { from: options.from, to: options.to, dropped };
  return attempt(dropped, () => {
    const url = options.url ?? { model: "", stream: false };
    const asked = dialects[options.from].requestIn(context, options.body, url);
    const request = bounded(asked, options);
    const names = toolNames(context, request.tools);
    const target = { extensions: options.chatExtensions ?? true };
    const body = dialects[options.to].requestOut(context, request, names, target);
    return exchangeOf(options, asked, names, { body, model: request.model });
  });
}

function bounded(request: ConversationRequest, options: RequestOptions): ConversationRequest {
  const asked = request.settings.maxOutputTokens;
  const bound = options.outputTokensMax;
  const maxOutputTokens = bound === undefined ? asked : Math.min(asked ?? bound, bound);
  return {
    ...request,
    model: options.upstreamModel ?? request.model,
    settings: { ...request.settings, ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }) },
  };
}

function exchangeOf(
  { from, to }: RequestOptions,
  request: ConversationRequest,
  names: ToolNames,
  sent: { readonly body: JsonObject; readonly model: string },
): Exchange {
  const outputOf = (options: AnswerOptions): OutputContext => ({
    answerId: options.answerId,
    createdAt: options.createdAt,
    model: options.model ?? request.model,
    streamUsage: request.streamUsage,
    ...(options.usageExtras === undefined ? {} : { usageExtras: options.usageExtras }),
  });
  return {
    ...sent,
    stream: request.stream,
    answer: (body, options) => {
      const dropped = new Set<HintName>();
      // The answer goes the other way.
      const context: ConversionContext = { from: to, to: from, dropped };
      return attempt(dropped, () => {
        const answer = restoreAnswer(dialects[to].answerIn(context, body, options.answerId), names);
        if (answer.candidates.length > 1 && !dialects[from].severalAnswers) {
          throw malformed("upstream", "", "one answer, as it was asked for");
        }
        return { body: dialects[from].answerOut(outputOf(options), answer), usage: answer.usage };
      });
    },
    streamed: (options) => createStreamConversion({ client: from, provider: to, names, output: outputOf(options) }),
  };
}

/** What a provider's error body says; undefined when it is not of its dialect's shape. For our log and our retries only. */
export function readFault(dialect: DialectName, body: unknown): Fault | undefined {
  if (!isObject(body) || !(isObject(body["error"]) || typeof body["error"] === "string")) return undefined;
  return dialects[dialect].faultIn(body);
}

/** An error of ours as the body of an HTTP answer in the client's dialect; the status comes from the error's kind. */
export function writeError(dialect: DialectName, error: AppError, requestId: string): JsonObject {
  return dialects[dialect].errorOut(faultOf(error), requestId, error.param ?? null);
}
