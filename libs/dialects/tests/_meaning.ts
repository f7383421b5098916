import type { Answer, StopReason } from "../src/model/answer.ts";
import type { DialectName } from "../src/model/dialect.ts";
import type { StreamEvent } from "../src/model/events.ts";
import { base64ToText, textToBase64 } from "../src/model/media.ts";
import { joinTurns, type AssistantPart, type ResultContent, type Turn, type UserPart } from "../src/model/parts.ts";
import type { ConversationRequest } from "../src/model/request.ts";
import { joinSeals } from "../src/model/seal.ts";
import { argumentsFromObject, argumentsToObject } from "../src/model/tool-arguments.ts";
import type { Usage } from "../src/model/usage.ts";

// What must survive a conversion: everything but what the table of hints lets go, for the dialects of the pair.

type Has = (dialect: DialectName) => boolean;

export function requestMeaning(request: ConversationRequest, pair: readonly DialectName[]): unknown {
  const has: Has = (dialect) => pair.includes(dialect);
  const { reasoning, outputFormat, toolChoice, ...settings } = request.settings;
  const effort = reasoning?.budgetTokens === 0 ? "none" : reasoning?.effort;
  return JSON.parse(
    JSON.stringify({
      turns: turnsMeaning(request.turns, has),
      // A `strict` that says the default says nothing.
      tools: request.tools.map(({ strict, ...tool }) => ({
        ...tool,
        at: undefined,
        ...(strict === true && !has("gemini") ? { strict } : {}),
      })),
      settings,
      choice: toolChoice ?? { mode: "auto" },
      effort,
      format: outputFormat?.type === "json_schema" ? outputFormat.schema : outputFormat?.type,
    }),
  ) as unknown;
}

function turnsMeaning(turns: readonly Turn[], has: Has): unknown {
  const flat = has("messages") || has("gemini");
  const ranked = turns.map((turn): Turn => (turn.role === "system" && flat ? { ...turn, authority: "system" } : turn));
  const system = ranked.filter(({ role }) => role === "system");
  const ordered = has("gemini") ? [...system, ...ranked.filter(({ role }) => role !== "system")] : ranked;
  const own = has("chat") && has("messages") ? ordered.map(withoutUnsealed) : ordered;
  const plain = joinTurns(own).map((turn): Turn => {
    if (turn.role === "system") return turn;
    if (turn.role === "user") return { ...turn, parts: userMeaning(turn.parts, has) };
    return { ...turn, parts: assistantMeaning(turn.parts, has) };
  });
  // A turn that lost all its parts may make neighbours of two others.
  const whole = joinTurns(joinTurns(plain)).map((turn): Turn => {
    if (turn.role !== "system" || !has("responses")) return turn;
    // The first system turn is one text there: the instructions.
    return { ...turn, parts: [{ type: "text", text: turn.parts.map(({ text }) => text).join("\n\n") }] };
  });
  return stripPlaces(whole);
}

/** Of two messages in a row each has its own seals: what one loses for want of a seal does not get the seal of the next. */
function withoutUnsealed(turn: Turn): Turn {
  if (turn.role !== "assistant") return turn;
  // A reader makes one turn of them, and the places of the parts tell them apart.
  const messages = Map.groupBy(turn.parts, ({ at }) => /^messages\[\d+\]/.exec(at ?? "")?.[0]);
  const parts = [...messages.values()].flatMap((own) => joinSeals(inChatOrder(own)).filter(isKeptByMessages));
  return { ...turn, parts };
}

function isKeptByMessages(part: AssistantPart): boolean {
  return part.type !== "reasoning" || part.seal !== undefined;
}

function inChatOrder(parts: readonly AssistantPart[]): AssistantPart[] {
  return parts.toSorted((a, b) => chatOrder[a.type] - chatOrder[b.type]);
}

/** Results come first; their texts are one, as gemini has one text a result. */
function userMeaning(parts: readonly UserPart[], has: Has): UserPart[] {
  const results = parts.flatMap((part): UserPart[] => {
    if (part.type !== "tool_result") return [];
    const texts = part.content.flatMap((inner) => (inner.type === "text" ? [inner.text] : [])).join("\n");
    const media = part.content.filter(({ type }) => type !== "text").map((inner) => mediaMeaning(inner, has));
    return [{ ...part, content: [{ type: "text", text: texts }, ...media] }];
  });
  const rest = parts.flatMap((part): UserPart[] => {
    if (part.type === "tool_result") return [];
    return [part.type === "document" ? mediaMeaning(part, has) : part];
  });
  return [...results, ...rest];
}

function mediaMeaning(part: ResultContent, has: Has): ResultContent {
  if (part.type !== "document") return part;
  const { source, filename, ...more } = part;
  const text =
    source.kind === "text"
      ? source.text
      : source.kind === "base64" && source.mediaType === "text/plain"
        ? base64ToText(source.data)
        : undefined;
  const plain =
    text === undefined ? source : ({ kind: "base64", mediaType: "text/plain", data: textToBase64(text) } as const);
  return { ...more, source: plain, ...(has("gemini") ? {} : { filename: filename ?? "document" }) };
}

const chatOrder = { reasoning: 0, text: 1, refusal: 2, tool_call: 3 } as const;

export function assistantMeaning(parts: readonly AssistantPart[], has: Has): AssistantPart[] {
  const plain = parts.flatMap((part): AssistantPart[] => {
    if (part.type === "refusal" && (has("messages") || has("gemini"))) return [{ type: "text", text: part.text }];
    if (part.type === "tool_call")
      return [{ ...part, arguments: argumentsFromObject(argumentsToObject(part.arguments)) }];
    return [part];
  });
  const sorted = has("chat") ? inChatOrder(plain) : plain;
  const sealed = has("chat") || has("gemini") ? joinSeals(sorted) : sorted;
  const kept = has("messages") ? sealed.filter(isKeptByMessages) : sealed;
  const joined: AssistantPart[] = [];
  for (const part of kept) {
    const last = joined.at(-1);
    const same = (part.type === "text" || part.type === "refusal") && last?.type === part.type;
    if (same) joined[joined.length - 1] = { ...part, text: last.text + part.text };
    else joined.push(part);
  }
  return joined;
}

function stripPlaces(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, entry: unknown) => (key === "at" ? undefined : entry))) as unknown;
}

/** Dialects tell fewer reasons apart than the model does. */
const coarse: Readonly<Record<StopReason, string>> = {
  end: "end",
  stop_sequence: "end",
  max_tokens: "cut",
  context_window: "cut",
  pause: "cut",
  tool_calls: "calls",
  refusal: "declined",
  content_filter: "declined",
};

export function answerMeaning(answer: Answer, pair: readonly DialectName[]): unknown {
  const has: Has = (dialect) => pair.includes(dialect);
  const [candidate] = answer.candidates;
  // A refusal in words stays one in an answer, whatever the dialect.
  const all = candidate?.parts ?? [];
  const refusal = all.flatMap((part) => (part.type === "refusal" ? [part.text] : [])).join("");
  const others = all.filter(({ type }) => type !== "refusal");
  const sorted = has("chat") ? inChatOrder(others) : others;
  const parts = joinAll(joinSeals(sorted));
  return {
    parts: stripPlaces(
      parts.map((part) =>
        part.type === "tool_call"
          ? { ...part, arguments: argumentsFromObject(argumentsToObject(part.arguments)) }
          : part,
      ),
    ),
    refusal,
    stop: coarse[candidate?.stop ?? "end"],
    usage: usageMeaning(answer.usage, has),
  };
}

/** Neighbours of text, and of reasoning without a seal between, are one: a stream does not tell them apart. */
function joinAll(parts: readonly AssistantPart[]): AssistantPart[] {
  const joined: AssistantPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.type === "text" && last?.type === "text")
      joined[joined.length - 1] = { ...last, text: last.text + part.text };
    else if (part.type === "reasoning" && last?.type === "reasoning" && last.seal === undefined && !part.redacted) {
      joined[joined.length - 1] = { ...part, text: last.text + part.text };
    } else joined.push(part);
  }
  return joined;
}

function usageMeaning(usage: Usage | undefined, has: Has): unknown {
  if (usage === undefined || !has("gemini")) return usage;
  const { cacheWrite, cacheWrite1h, input, ...rest } = usage;
  return { ...rest, input: input + cacheWrite + cacheWrite1h };
}

/** Puts a stream together again; throws when its events are out of the order that the model promises. */
export function foldEvents(events: readonly StreamEvent[]): Answer {
  const parts: AssistantPart[] = [];
  let open: AssistantPart | undefined;
  let stop: StopReason | undefined;
  let usage: Usage | undefined;
  let id = "";
  let over = false;
  const check = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(`out of order: ${what}`);
  };
  for (const [place, event] of events.entries()) {
    check((event.type === "start") === (place === 0) && !over, event.type);
    if (event.type === "start") ({ id } = event);
    else if (event.type === "part_start") {
      check(open === undefined && event.index === parts.length && stop === undefined, "part_start");
      const part = event.part;
      open = part.type === "tool_call" ? { ...part, arguments: "" } : { ...part, text: "" };
    } else if (event.type === "delta") {
      if (open === undefined) throw new Error("out of order: delta");
      open =
        open.type === "tool_call"
          ? { ...open, arguments: open.arguments + event.text }
          : { ...open, text: open.text + event.text };
    } else if (event.type === "seal") {
      if (open?.type !== "reasoning") throw new Error("out of order: seal");
      open = { ...open, seal: event.seal };
    } else if (event.type === "part_end") {
      if (open === undefined) throw new Error("out of order: part_end");
      parts.push(open);
      open = undefined;
    } else if (event.type === "finish") {
      check(open === undefined && stop === undefined, "finish");
      ({ stop } = event);
    } else if (event.type === "usage") ({ usage } = event);
    else if (event.type === "end") over = true;
    else throw new Error(event.fault.detail);
  }
  check(over && stop !== undefined, "the end");
  return {
    id,
    model: "",
    candidates: [{ parts, stop: stop ?? "end" }],
    ...(usage === undefined ? {} : { usage }),
  };
}
