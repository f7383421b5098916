import fc from "fast-check";
import type { Answer, Candidate, StopReason } from "../src/model/answer.ts";
import { isObject, type JsonObject } from "../src/model/dialect.ts";
import type { StreamEvent } from "../src/model/events.ts";
import {
  joinTurns,
  type AssistantPart,
  type DocumentPart,
  type ResultContent,
  type Turn,
  type UserPart,
} from "../src/model/parts.ts";
import type { ConversationRequest, Settings, Tool, ToolChoice } from "../src/model/request.ts";
import type { Usage } from "../src/model/usage.ts";

// Conversations with everything that two dialects have in common, and with much that only some have.

const text = fc.string({ unit: "binary", minLength: 1, maxLength: 12 }).filter((value) => value.isWellFormed());
const opaque = fc.base64String({ minLength: 4, maxLength: 16 });
const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,11}$/);
const argumentsText = fc.oneof(
  fc.dictionary(name, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }).map((value) => JSON.stringify(value)),
  fc.constantFrom("{}", '{"cut":', "[1]"),
);
const list = <T>(entry: fc.Arbitrary<T>, maxLength: number, minLength = 0): fc.Arbitrary<T[]> =>
  fc.array(entry, { minLength, maxLength, size: "max" });

const rarely = <T>(entry: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: entry });

const textPart = text.map((value) => ({ type: "text", text: value }) as const);
const mediaSource = fc.oneof(
  fc.constant({ kind: "url", url: "https://example.org/a.png?x=1" } as const),
  opaque.map((data) => ({ kind: "base64", mediaType: "image/png", data }) as const),
);
const image = mediaSource.map((source) => ({ type: "image", source }) as const);
const document = fc.oneof(
  opaque.map((data): DocumentPart => ({
    type: "document",
    source: { kind: "base64", mediaType: "application/pdf", data },
  })),
  text.map((value): DocumentPart => ({ type: "document", source: { kind: "text", text: value }, filename: "notes" })),
);
const audio = opaque.map((data) => ({ type: "audio", mediaType: "audio/wav", data }) as const);
const said: fc.Arbitrary<UserPart> = fc.oneof(
  { weight: 40, arbitrary: textPart },
  { weight: 12, arbitrary: image },
  { weight: 6, arbitrary: document },
  { weight: 1, arbitrary: audio },
);
const reasoning = fc.oneof(
  fc.record({ text, seal: opaque }).map((part) => ({ type: "reasoning", redacted: false, ...part }) as const),
  opaque.map((seal) => ({ type: "reasoning", redacted: false, text: "", seal }) as const),
  opaque.map((seal) => ({ type: "reasoning", redacted: true, text: "", seal }) as const),
  text.map((value) => ({ type: "reasoning", redacted: false, text: value }) as const),
);
const call = fc
  .record({ name, arguments: argumentsText })
  .map((part) => ({ type: "tool_call", id: "", custom: false, ...part }) as const);

/** Parts of an assistant's turn; at most one refusal, at the end. */
export const assistantParts: fc.Arbitrary<AssistantPart[]> = fc
  .tuple(list<AssistantPart>(fc.oneof(reasoning, textPart, call), 5, 1), rarely(text))
  .map(([parts, refusal]) => [
    ...parts,
    ...(refusal === undefined ? [] : [{ type: "refusal", text: refusal } as const]),
  ]);

const resultContent: fc.Arbitrary<ResultContent[]> = list<ResultContent>(
  fc.oneof({ weight: 4, arbitrary: textPart }, { weight: 1, arbitrary: image }),
  2,
);
const round = fc.record({
  system: fc.option(list(textPart, 2, 1), { freq: 5, nil: undefined }),
  developer: fc.boolean(),
  user: list(said, 3),
  assistant: fc.option(assistantParts, { freq: 5, nil: undefined }),
  results: list(fc.record({ isError: fc.boolean(), content: resultContent }), 4),
});

/** Gives calls ids of their own, and each call its result in the user's next turn. */
const turns: fc.Arbitrary<Turn[]> = list(round, 4, 1).map((rounds) => {
  let next = 0;
  const waiting: string[] = [];
  return rounds.flatMap(({ system, developer, user, assistant, results }): Turn[] => {
    const answered = waiting.splice(0).map((callId, index): UserPart => ({
      type: "tool_result",
      callId,
      isError: results[index]?.isError ?? false,
      content: results[index]?.content ?? [],
    }));
    const parts = assistant?.map((part): AssistantPart => {
      if (part.type !== "tool_call") return part;
      const id = `call_${String((next += 1))}`;
      waiting.push(id);
      return { ...part, id };
    });
    return [
      ...(system === undefined
        ? []
        : [{ role: "system", authority: developer ? "developer" : "system", parts: system } as const]),
      { role: "user", parts: [...answered, ...user] },
      ...(parts === undefined ? [] : [{ role: "assistant", parts } as const]),
    ];
  });
});

const tool: fc.Arbitrary<Tool> = fc
  .record({ name, description: fc.option(text, { nil: undefined }), strict: fc.boolean() })
  .map(({ name: toolName, description, strict }) => ({
    name: toolName,
    custom: false,
    parameters: { type: "object", properties: { a: { type: "string" } } },
    ...(description === undefined ? {} : { description }),
    ...(strict ? { strict } : {}),
  }));
const tools = fc.uniqueArray(tool, { maxLength: 3, size: "max", selector: (entry) => entry.name });

const maybe = <T>(entry: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(entry, { nil: undefined });
const schema: fc.Arbitrary<JsonObject> = fc.constantFrom(
  { type: "object", properties: { a: { type: "number" } }, required: ["a"], additionalProperties: false },
  { type: "object", properties: {}, additionalProperties: false },
);

const settings = fc
  .record({
    maxOutputTokens: fc.integer({ min: 1, max: 100_000 }),
    temperature: maybe(fc.constantFrom(0, 0.5, 1, 1.5)),
    topP: maybe(fc.constantFrom(0, 0.5, 1)),
    topK: rarely(fc.integer({ min: 1, max: 100 })),
    seed: rarely(fc.integer()),
    frequencyPenalty: rarely(fc.constantFrom(-1, 0.5)),
    presencePenalty: rarely(fc.constantFrom(-1, 0.5)),
    stop: rarely(list(text, 4, 1)),
    answers: rarely(fc.integer({ min: 2, max: 4 })),
    topLogprobs: rarely(fc.integer({ min: 1, max: 5 })),
    effort: maybe(fc.constantFrom("none", "low", "medium", "high")),
    outputFormat: rarely(
      fc.oneof(
        schema.map((value) => ({ type: "json_schema", name: "n", schema: value }) as const),
        fc.constant({ type: "json_object" } as const),
      ),
    ),
    choice: maybe(fc.constantFrom("auto", "none", "required", "named")),
    serial: rarely(fc.constant(false as const)),
  })
  .map((values) => ({ ...values }));

export const requests: fc.Arbitrary<ConversationRequest> = fc
  .record({ turns, tools, settings, stream: fc.boolean() })
  .map(({ turns: all, tools: declared, settings: raw, stream }) => {
    const { effort, choice, serial, topLogprobs, ...plain } = raw;
    const toolChoice = choiceOf(choice, declared);
    const drawn: Partial<Settings> = withoutUndefined({
      ...plain,
      logprobs: topLogprobs === undefined ? undefined : true,
      topLogprobs,
      reasoning: effort === undefined ? undefined : { effort },
      toolChoice,
      parallelToolCalls: declared.length === 0 || toolChoice?.mode === "none" ? undefined : serial,
    });
    return {
      model: "m",
      stream,
      streamUsage: true,
      turns: joinTurns(all),
      tools: declared,
      settings: drawn,
      paths: {},
    };
  });

function choiceOf(
  mode: "auto" | "none" | "required" | "named" | undefined,
  tools: readonly Tool[],
): ToolChoice | undefined {
  const [first] = tools;
  if (mode === undefined || first === undefined) return undefined;
  return mode === "named" ? { mode, tool: { name: first.name } } : { mode };
}

function withoutUndefined(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
}

const count = fc.nat(10_000);
const usage: fc.Arbitrary<Usage> = fc.record({
  input: count,
  cachedInput: count,
  cacheWrite: count,
  cacheWrite1h: count,
  output: count,
  reasoning: count,
});

function stopsFor(parts: readonly AssistantPart[]): readonly StopReason[] {
  if (parts.some(({ type }) => type === "refusal")) return ["refusal"];
  if (parts.some(({ type }) => type === "tool_call")) return ["tool_calls", "max_tokens"];
  return ["end", "stop_sequence", "max_tokens", "context_window", "content_filter", "refusal", "pause"];
}

const candidate: fc.Arbitrary<Candidate> = assistantParts.chain((parts) =>
  fc.constantFrom(...stopsFor(parts)).map((stop) => ({
    parts: parts.map((part, index) => (part.type === "tool_call" ? { ...part, id: `call_${String(index)}` } : part)),
    stop,
  })),
);

export const answers: fc.Arbitrary<Answer> = fc
  .record({ candidate, usage })
  .map(({ candidate: only, usage: counted }) => ({
    id: "id_1",
    model: "m",
    candidates: [only],
    usage: counted,
  }));

/** An answer as a stream; every text in pieces. */
export function eventsOf(answer: Answer, pieceLength: number): StreamEvent[] {
  const [only] = answer.candidates;
  const events: StreamEvent[] = [{ type: "start", id: answer.id, model: answer.model }];
  for (const [index, part] of (only?.parts ?? []).entries()) {
    events.push({ type: "part_start", candidate: 0, index, part: openingOf(part) });
    const whole = [...(part.type === "tool_call" ? part.arguments : part.text)];
    for (let at = 0; at < whole.length; at += pieceLength) {
      events.push({ type: "delta", candidate: 0, text: whole.slice(at, at + pieceLength).join("") });
    }
    if (part.type === "reasoning" && part.seal !== undefined)
      events.push({ type: "seal", candidate: 0, seal: part.seal });
    events.push({ type: "part_end", candidate: 0 });
  }
  events.push({ type: "finish", candidate: 0, stop: only?.stop ?? "end" });
  if (answer.usage !== undefined) events.push({ type: "usage", usage: answer.usage });
  return [...events, { type: "end" }];
}

function openingOf(part: AssistantPart): Extract<StreamEvent, { type: "part_start" }>["part"] {
  if (part.type === "tool_call") return { type: "tool_call", id: part.id, name: part.name, custom: part.custom };
  if (part.type === "reasoning") return { type: "reasoning", redacted: part.redacted };
  return { type: part.type };
}

/** A wire body with one piece of it replaced: most of the ways to be wrong. */
export const mutations = fc.record({
  at: fc.nat(),
  value: fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(null, {}, [], [null], "", "type", -1, 1e300, "__proto__"),
  ),
});

export function mutate(body: unknown, { at, value }: { readonly at: number; readonly value: unknown }): unknown {
  const places: { readonly holder: Record<string, unknown> | unknown[]; readonly key: string }[] = [];
  const copy: unknown = structuredClone(body);
  const walk = (node: unknown): void => {
    if (!isObject(node) && !Array.isArray(node)) return;
    for (const key of Object.keys(node)) {
      places.push({ holder: node as Record<string, unknown>, key });
      walk((node as Record<string, unknown>)[key]);
    }
  };
  walk(copy);
  const place = places[at % Math.max(1, places.length)];
  if (place === undefined) return value;
  (place.holder as Record<string, unknown>)[place.key] = value;
  return copy;
}
