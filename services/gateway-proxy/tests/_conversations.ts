import { readFileSync } from "node:fs";
import path from "node:path";
import { readEvents, type ReadEvent } from "./_streams.ts";

/**
 * Answers in the four dialects, read by the vendors' published rules and by no code of ours: recordings become whole answers, and
 * whole answers become what they mean, so that what an upstream said and what a client heard can be compared.
 */

export type Wire = "chat" | "messages" | "responses" | "gemini";
export type Json = Readonly<Record<string, unknown>>;

const golden = path.join(import.meta.dirname, "../../../libs/dialects/tests/golden");

/** A stream as a provider sends it: the recordings of libs/dialects. */
export function recording(dialect: Wire, name: string): string {
  return readFileSync(path.join(golden, dialect, `${name}.sse`), "utf8");
}

const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The whole answer that a stream amounts to, in its own dialect. */
export function folded(dialect: Wire, stream: string): Json {
  return folds[dialect](readEvents(stream.replaceAll("\r\n", "\n")).filter(({ data }) => data["type"] !== "ping"));
}

const folds: Readonly<Record<Wire, (events: readonly ReadEvent[]) => Json>> = {
  chat(events) {
    const message: Record<string, unknown> = { role: "assistant" };
    const calls: Record<string, unknown>[] = [];
    let [finish, usage]: unknown[] = [null, undefined];
    const add = (to: Record<string, unknown>, name: string, piece: unknown): void => {
      if (typeof piece === "string") to[name] = text(to[name]) + piece;
    };
    for (const { data } of events) {
      usage = data["usage"] ?? usage;
      const choice = object(list(data["choices"])[0]);
      finish = choice["finish_reason"] ?? finish;
      const delta = object(choice["delta"]);
      for (const name of ["content", "refusal", "reasoning", "reasoning_content"]) add(message, name, delta[name]);
      const details = [...list(message["reasoning_details"]), ...list(delta["reasoning_details"])];
      if (details.length > 0) message["reasoning_details"] = details;
      for (const piece of list(delta["tool_calls"])) {
        const call = (calls[Number(piece["index"])] ??= { function: {}, type: "function" });
        if (piece["id"] !== undefined) call["id"] = piece["id"];
        const whole = call["function"] as Record<string, unknown>;
        for (const name of ["name", "arguments"]) add(whole, name, object(piece["function"])[name]);
      }
    }
    if (calls.length > 0) message["tool_calls"] = calls;
    const { id, created, model } = events[0]?.data ?? {};
    const choices = [{ index: 0, message, finish_reason: finish }];
    return { id, object: "chat.completion", created, model, choices, usage };
  },

  messages(events) {
    let message: Json = {};
    const content: Record<string, unknown>[] = [];
    const inputs: string[] = [];
    for (const { data } of events) {
      const at = Number(data["index"]);
      const delta = object(data["delta"]);
      const block = content[at];
      if (data["type"] === "message_start") message = object(data["message"]);
      if (data["type"] === "content_block_start") content[at] = { ...object(data["content_block"]) };
      if (data["type"] === "message_delta") {
        message = { ...message, ...delta, usage: { ...object(message["usage"]), ...object(data["usage"]) } };
      }
      if (data["type"] !== "content_block_delta" || !block) continue;
      for (const name of ["text", "thinking", "signature"]) {
        if (typeof delta[name] === "string") block[name] = text(block[name]) + delta[name];
      }
      inputs[at] = (inputs[at] ?? "") + text(delta["partial_json"]);
      if (block["type"] === "tool_use") block["input"] = parsed(inputs[at]);
    }
    return { ...message, content };
  },

  responses: (events) => object(events.at(-1)?.data["response"]),

  gemini(events) {
    const all = events.map(({ data }) => data);
    const candidates = all.map((data) => object(list(data["candidates"])[0]));
    const parts = candidates.flatMap((candidate) => list(object(candidate["content"])["parts"]));
    const candidate = { ...candidates.at(-1), content: { role: "model", parts } };
    return { ...all.at(-1), candidates: [candidate] };
  },
};

/** Half an object in the middle of a stream is none yet. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json || "{}");
  } catch {
    return {};
  }
}

/** What an answer says, whatever the dialect. */
export interface Meaning {
  readonly text: string;
  readonly thinking: string;
  /** Signatures, encrypted reasoning and the like. */
  readonly seals: readonly string[];
  readonly calls: readonly { readonly name: unknown; readonly input: unknown }[];
  readonly refusal: string;
  readonly stop: "end" | "calls" | "cut" | "declined" | undefined;
}

const stops: Readonly<Record<string, Meaning["stop"]>> = {
  stop: "end",
  end_turn: "end",
  stop_sequence: "end",
  completed: "end",
  STOP: "end",
  tool_calls: "calls",
  tool_use: "calls",
  length: "cut",
  max_tokens: "cut",
  max_output_tokens: "cut",
  MAX_TOKENS: "cut",
  content_filter: "declined",
  refusal: "declined",
  SAFETY: "declined",
};

export function meaning(dialect: Wire, answer: Json): Meaning {
  const { stop, ...said } = meanings[dialect](answer);
  const reason = said.refusal === "" ? stops[text(stop)] : "declined";
  // Two dialects do not say that an answer ends in calls.
  const calling = said.calls.length > 0 && reason === "end";
  return { ...said, thinking: said.thinking.replaceAll(/\s+/g, " "), stop: calling ? "calls" : reason };
}

type Said = Omit<Meaning, "stop"> & { readonly stop: unknown };
const joined = (texts: readonly unknown[]): string => texts.map(text).join("");
const present = (values: readonly unknown[]): string[] => values.map(text).filter((value) => value !== "");

const meanings: Readonly<Record<Wire, (answer: Json) => Said>> = {
  chat(answer) {
    const choice = object(list(answer["choices"])[0]);
    const message = object(choice["message"]);
    const details = list(message["reasoning_details"]);
    return {
      text: text(message["content"]),
      thinking: text(message["reasoning_content"] ?? message["reasoning"]),
      seals: present(details.flatMap((detail) => [detail["signature"], detail["data"]])),
      calls: list(message["tool_calls"]).map((call) => {
        const { name, arguments: input } = object(call["function"]);
        return { name, input: JSON.parse(text(input) || "{}") as unknown };
      }),
      refusal: text(message["refusal"]),
      stop: choice["finish_reason"],
    };
  },

  messages(answer) {
    const blocks = list(answer["content"]);
    const of = (type: string): readonly Json[] => blocks.filter((block) => block["type"] === type);
    return {
      text: joined(of("text").map((block) => block["text"])),
      thinking: joined(of("thinking").map((block) => block["thinking"])),
      seals: present([
        ...of("thinking").map((block) => block["signature"]),
        ...of("redacted_thinking").map((block) => `redacted_thinking:${text(block["data"])}`),
      ]),
      calls: of("tool_use").map(({ name, input }) => ({ name, input })),
      refusal: text(object(answer["stop_details"])["explanation"]),
      stop: answer["stop_reason"],
    };
  },

  responses(answer) {
    const items = list(answer["output"]);
    const of = (type: string): readonly Json[] => items.filter((item) => item["type"] === type);
    const parts = of("message").flatMap((item) => list(item["content"]));
    return {
      text: joined(parts.map((part) => part["text"])),
      thinking: joined(
        of("reasoning").flatMap((item) => list(item["summary"]).map((part) => `${text(part["text"])} `)),
      ).trim(),
      seals: present(of("reasoning").map((item) => item["encrypted_content"])),
      calls: of("function_call").map(({ name, arguments: input }) => ({
        name,
        input: JSON.parse(text(input) || "{}") as unknown,
      })),
      refusal: joined(parts.map((part) => part["refusal"])),
      stop: object(answer["incomplete_details"])["reason"] ?? answer["status"],
    };
  },

  gemini(answer) {
    const candidate = object(list(answer["candidates"])[0]);
    const parts = list(object(candidate["content"])["parts"]);
    return {
      text: joined(parts.filter((part) => part["thought"] !== true).map((part) => part["text"])),
      thinking: joined(parts.filter((part) => part["thought"] === true).map((part) => part["text"])),
      seals: present(parts.map((part) => part["thoughtSignature"])),
      calls: parts.flatMap(({ functionCall: call }) =>
        call === undefined ? [] : [{ name: object(call)["name"], input: object(call)["args"] }],
      ),
      refusal: candidate["finishReason"] === "SAFETY" ? text(candidate["finishMessage"]) : "",
      stop: candidate["finishReason"],
    };
  },
};
