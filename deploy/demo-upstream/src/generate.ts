import type { Model } from "./models.ts";
import { languageOf } from "./text/language.ts";
import { answerText, excerpt, fillerText, refusalText, thinkingText } from "./text/phrases.ts";
import { sampleOf } from "./text/sample.ts";
import { callsFor } from "./tool-calls.ts";
import {
  bytesPerToken,
  choiceTokens,
  textTokens,
  toolCallOverheadTokens,
  toolCallTokens,
  truncateToTokens,
  usageOf,
  type CacheSplit,
  type PromptItem,
  type Usage,
} from "./usage.ts";

/**
 * What the demo answers, before any dialect: a pure function of the request. Both dialects translate their body into
 * {@link GenerationRequest} and the {@link Generation} into theirs.
 */

export interface ToolSpec {
  readonly name: string;
  /** JSON Schema of the arguments; of a custom tool there is none. */
  readonly parameters: unknown;
  /** Takes free text in place of arguments (the Responses API alone has such tools). */
  readonly custom?: boolean;
  /** The group of tools that it is in, also of the Responses API. */
  readonly namespace?: string;
}

export type ToolChoice =
  { readonly kind: "auto" | "none" | "required" } | { readonly kind: "named"; readonly name: string };

export interface GenerationRequest {
  readonly model: Model;
  readonly items: readonly PromptItem[];
  readonly cache: CacheSplit;
  readonly userText: string;
  readonly toolResult: string | undefined;
  readonly choices: number;
  /** Bound on reasoning, text and tool calls together, per choice; undefined = none. */
  readonly outputTokensMax: number | undefined;
  readonly stops: readonly string[];
  readonly tools: readonly ToolSpec[];
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  /** How long it thinks: 0 = not at all. */
  readonly thinkingRounds: number;
  /** Set: the answer is JSON for this schema. */
  readonly jsonSchema: { readonly schema: unknown } | undefined;
}

export interface ToolCall {
  /** 24 hexadecimal digits; each dialect puts its prefix before. */
  readonly id: string;
  readonly name: string;
  /** Of a custom tool, its free text. */
  readonly argumentsJson: string;
  readonly custom?: boolean;
  readonly namespace?: string;
}

export type Finish = "stop" | "stop-sequence" | "length" | "tool-calls" | "refusal";

export interface Choice {
  readonly reasoning: string;
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finish: Finish;
  readonly stopSequence: string | undefined;
}

export interface Generation {
  readonly choices: readonly Choice[];
  readonly usage: Usage;
}

export function generate(request: GenerationRequest): Generation {
  const choices = Array.from({ length: request.choices }, (_unused, index) =>
    limited(fullChoice(request, index), request),
  );
  return { choices, usage: usageOf(request.items, choices, request.cache) };
}

/** The choice as if there were no limit on its length. */
function fullChoice(request: GenerationRequest, index: number): Choice {
  const language = languageOf(request.userText);
  const { fault } = request.model;
  const none = { reasoning: "", toolCalls: [], stopSequence: undefined };
  if (fault?.kind === "empty") return { ...none, text: "", finish: "stop" };
  if (fault?.kind === "refusal") return { ...none, text: refusalText(language), finish: "refusal" };
  const reasoning = thinkingText(language, request.thinkingRounds);
  const toolCalls = callsFor(request);
  if (toolCalls.length > 0) return { ...none, reasoning, text: "", toolCalls, finish: "tool-calls" };
  return { ...none, reasoning, ...stopped(textOf(request, index), request.stops) };
}

function textOf(request: GenerationRequest, index: number): string {
  const language = languageOf(request.userText);
  const { lengthTokens, persona } = request.model;
  if (request.jsonSchema) return JSON.stringify(sampleOf(request.jsonSchema.schema, excerpt(request.userText)));
  if (lengthTokens !== undefined) {
    return truncateToTokens(fillerText(language, lengthTokens * bytesPerToken), lengthTokens);
  }
  return answerText(persona, { language, userText: request.userText, toolResult: request.toolResult }, index);
}

/** Ends the text before the earliest stop sequence in it. */
function stopped(text: string, stops: readonly string[]): Pick<Choice, "text" | "finish" | "stopSequence"> {
  let at = text.length;
  let stopSequence: string | undefined;
  for (const stop of stops) {
    const found = stop === "" ? -1 : text.indexOf(stop);
    if (found < 0 || found >= at) continue;
    at = found;
    stopSequence = stop;
  }
  if (stopSequence === undefined) return { text, finish: "stop", stopSequence };
  return { text: text.slice(0, at), finish: "stop-sequence", stopSequence };
}

/** Cuts the choice at the caller's limit: thinking first, then text, then tool calls. */
function limited(choice: Choice, request: GenerationRequest): Choice {
  const max = request.outputTokensMax;
  if (max === undefined || request.model.fault?.kind === "unbounded" || choiceTokens(choice) <= max) return choice;
  const reasoning = truncateToTokens(choice.reasoning, max);
  let left = max - textTokens(reasoning);
  const text = truncateToTokens(choice.text, left);
  left -= textTokens(text);
  const toolCalls: ToolCall[] = [];
  for (const call of choice.toolCalls) {
    const cut = withinTokens(call, left);
    if (!cut) break;
    toolCalls.push(cut);
    left -= toolCallTokens(cut);
    if (cut.argumentsJson !== call.argumentsJson) break;
  }
  return { reasoning, text, toolCalls, finish: "length", stopSequence: undefined };
}

/** The call with arguments cut to fit, as a model leaves them at its limit; undefined when not even the name fits. */
function withinTokens(call: ToolCall, tokens: number): ToolCall | undefined {
  const forArguments = tokens - toolCallOverheadTokens - textTokens(call.name);
  if (forArguments <= 0) return undefined;
  return { ...call, argumentsJson: truncateToTokens(call.argumentsJson, forArguments) };
}
