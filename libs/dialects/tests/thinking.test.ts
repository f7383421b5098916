import { propertyRuns } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { convertRequest, type Conversion, type DialectName, type Exchange } from "../src/index.ts";
import { claudeThinking, geminiThinking } from "../src/model/thinking.ts";

// Reasoning in the words of the generation that the model's name says: budgets, levels, or an effort that the model fills.

const asked = (effort: string, more: object = {}): object => ({
  reasoning_effort: effort,
  max_tokens: 40_000,
  ...more,
});

function convert(from: DialectName, to: DialectName, upstreamModel: string, more: object): Conversion<Exchange> {
  const said = {
    chat: { model: "m", messages: [{ role: "user", content: "x" }] },
    messages: { model: "m", messages: [{ role: "user", content: "x" }] },
    responses: { model: "m", input: "x" },
    gemini: { contents: [{ parts: [{ text: "x" }] }] },
  }[from];
  const url = { model: "m", stream: false };
  return convertRequest({ from, to, url, upstreamModel, body: { ...said, ...more }, outputTokensMax: 100_000 });
}

/** What of an outgoing body is about reasoning. */
function reasoningOf(to: DialectName, more: Conversion<Exchange>): unknown {
  if (!more.ok) throw new Error(`${more.refusal.path}: ${more.refusal.message}`);
  const { body } = more.value;
  if (to === "gemini") return (body["generationConfig"] as { thinkingConfig?: unknown }).thinkingConfig ?? {};
  const names = to === "messages" ? ["thinking", "output_config"] : ["reasoning_effort", "reasoning"];
  return Object.fromEntries(names.filter((name) => name in body).map((name) => [name, body[name]]));
}

const enabled = (budget_tokens: number, more: object = {}): object => ({
  thinking: { type: "enabled", budget_tokens, ...more },
});
const adaptive = (effort: string): object => ({ thinking: { type: "adaptive" }, output_config: { effort } });
const off = { thinking: { type: "disabled" } };

type Golden = readonly [from: DialectName, to: DialectName, model: string, said: object, out: object];

const golden: readonly Golden[] = [
  // Budgets alone.
  ["chat", "messages", "claude-3-7-sonnet-20250219", asked("high"), enabled(32_000)],
  ["chat", "messages", "claude-sonnet-4-20250514", asked("low"), enabled(4_096)],
  ["chat", "messages", "claude-opus-4-1-20250805", asked("minimal"), enabled(1_024)],
  ["chat", "messages", "anthropic/claude-sonnet-4.5", asked("medium"), enabled(16_384)],
  ["chat", "messages", "us.anthropic.claude-haiku-4-5-20251001-v1:0", asked("none"), off],
  ["chat", "messages", "claude-haiku-4-5", asked("high", { max_tokens: 2_000 }), enabled(1_600)],
  ["chat", "messages", "claude-haiku-4-5", asked("high", { max_tokens: 1_025 }), enabled(1_024)],
  [
    "chat",
    "messages",
    "claude-opus-4-5-20251101",
    asked("high"),
    { ...enabled(32_000), output_config: { effort: "high" } },
  ],
  ["chat", "messages", "claude-haiku-4-5", { reasoning: { max_tokens: 100 } }, enabled(1_024)],
  ["chat", "messages", "claude-haiku-4-5", { reasoning: { max_tokens: 9_000 }, max_tokens: 5_000 }, enabled(4_999)],
  ["chat", "messages", "claude-haiku-4-5", { reasoning: { exclude: true } }, {}],
  [
    "responses",
    "messages",
    "claude-sonnet-4-5",
    { reasoning: { effort: "low", summary: "auto" } },
    enabled(4_096, { display: "summarized" }),
  ],
  [
    "responses",
    "messages",
    "claude-sonnet-4-5",
    { reasoning: { summary: "auto" } },
    enabled(16_384, { display: "summarized" }),
  ],
  // Both words.
  ["chat", "messages", "claude-opus-4-6", asked("xhigh"), adaptive("high")],
  ["chat", "messages", "claude-sonnet-4-6", asked("max"), adaptive("max")],
  ["chat", "messages", "claude-opus-4-6", { reasoning: { max_tokens: 9_000 } }, enabled(9_000)],
  ["chat", "messages", "some-other-model", asked("xhigh"), adaptive("xhigh")],
  // An effort alone.
  ["chat", "messages", "claude-opus-4-7", asked("xhigh"), adaptive("xhigh")],
  ["chat", "messages", "claude-opus-4-8", { reasoning: { max_tokens: 9_000 } }, adaptive("medium")],
  ["gemini", "messages", "claude-sonnet-5", thinking({ thinkingBudget: 30_000 }), adaptive("high")],
  ["gemini", "messages", "claude-opus-5-5", thinking({ thinkingBudget: 0 }), off],
  // Models that do not reason, asked not to.
  ["chat", "messages", "claude-3-5-haiku-20241022", asked("none"), {}],
  ["chat", "gemini", "gemini-2.0-flash", asked("none"), {}],
  // Budgets in gemini.
  ["chat", "gemini", "gemini-2.5-pro", asked("high"), { thinkingBudget: 24_576 }],
  ["chat", "gemini", "gemini-2.5-pro", asked("max"), { thinkingBudget: 32_768 }],
  ["chat", "gemini", "gemini-2.5-flash", asked("max"), { thinkingBudget: 24_576 }],
  ["chat", "gemini", "google/gemini-2.5-flash-preview-09-2025", asked("none"), { thinkingBudget: 0 }],
  ["chat", "gemini", "gemini-2.5-flash-lite", { reasoning: { max_tokens: 10 } }, { thinkingBudget: 512 }],
  [
    "messages",
    "gemini",
    "gemini-2.5-pro",
    { max_tokens: 70_000, thinking: { type: "enabled", budget_tokens: 60_000, display: "omitted" } },
    { thinkingBudget: 32_768, includeThoughts: false },
  ],
  ["messages", "gemini", "gemini-2.5-pro", { max_tokens: 9, thinking: { type: "adaptive" } }, {}],
  [
    "messages",
    "gemini",
    "gemini-2.5-flash",
    { max_tokens: 9, thinking: { type: "adaptive" }, output_config: { effort: "medium" } },
    { thinkingBudget: 8_192 },
  ],
  // Levels in gemini.
  ["chat", "gemini", "gemini-3-pro-preview", asked("medium"), { thinkingLevel: "LOW" }],
  ["chat", "gemini", "gemini-3.1-pro", asked("medium"), { thinkingLevel: "MEDIUM" }],
  ["chat", "gemini", "gemini-3-flash-preview", asked("none"), { thinkingLevel: "MINIMAL" }],
  [
    "messages",
    "gemini",
    "gemini-3.5-flash-lite",
    { max_tokens: 9, thinking: { type: "enabled", budget_tokens: 20_000 } },
    { thinkingLevel: "HIGH" },
  ],
  ["chat", "gemini", "gemini-flash-latest", asked("none"), { thinkingBudget: 0 }],
  // The other way: a budget is a step, and a model that fills it itself has none.
  [
    "messages",
    "chat",
    "gpt-5",
    { max_tokens: 9_000, thinking: { type: "enabled", budget_tokens: 4_000 } },
    { reasoning_effort: "low" },
  ],
  ["messages", "chat", "gpt-5", { max_tokens: 9, thinking: { type: "adaptive" } }, {}],
  ["messages", "chat", "gpt-5", { max_tokens: 9, thinking: { type: "disabled" } }, { reasoning_effort: "none" }],
  [
    "messages",
    "responses",
    "gpt-5",
    { max_tokens: 40_000, thinking: { type: "enabled", budget_tokens: 32_000 } },
    { reasoning: { effort: "high", summary: "auto" } },
  ],
];

function thinking(thinkingConfig: object): object {
  return { generationConfig: { thinkingConfig } };
}

test.each(golden)("given a %s client, when %s is spoken to %s and %j is asked, then it is said so", (...one) => {
  const [from, to, model, said, out] = one;
  expect(reasoningOf(to, convert(from, to, model, said))).toEqual(out);
});

const tool = { type: "function", function: { name: "f" } };

const refused: readonly (readonly [to: DialectName, model: string, said: object, path: string])[] = [
  ["messages", "claude-3-5-sonnet-20241022", asked("low"), "reasoning_effort"],
  ["messages", "claude-3-haiku-20240307", { reasoning: { max_tokens: 2_000 } }, "reasoning"],
  ["messages", "claude-2.1", asked("high"), "reasoning_effort"],
  ["messages", "claude-fable-5", asked("none"), "reasoning_effort"],
  ["messages", "claude-sonnet-4-5", asked("low", { max_tokens: 1_024 }), "reasoning_effort"],
  ["messages", "claude-opus-4-6", { reasoning: { max_tokens: 2_000 }, max_tokens: 500 }, "reasoning"],
  ["messages", "claude-sonnet-4-5", asked("low", { temperature: 0.2 }), "temperature"],
  ["messages", "claude-sonnet-4-5", asked("low", { top_p: 0.5 }), "top_p"],
  ["messages", "claude-sonnet-4-5", asked("low", { top_k: 5 }), "top_k"],
  ["messages", "claude-sonnet-4-5", asked("low", { tools: [tool], tool_choice: "required" }), "tool_choice"],
  ["messages", "claude-opus-4-7", { temperature: 0.2 }, "temperature"],
  ["messages", "claude-opus-5", { top_p: 0.5 }, "top_p"],
  ["messages", "claude-sonnet-5", { top_k: 5 }, "top_k"],
  ["gemini", "gemini-2.0-flash-001", asked("low"), "reasoning_effort"],
  ["gemini", "gemini-2.5-pro", asked("none"), "reasoning_effort"],
  ["gemini", "gemini-3-pro-preview", asked("none"), "reasoning_effort"],
];

test.each(refused)("given %s of %s asked for %j, then '%s' is refused by name", (to, model, said, path) => {
  const converted = convert("chat", to, model, said);
  expect(converted).toMatchObject({ ok: false, refusal: { kind: "unsupported", path } });
  if (!converted.ok) expect(converted.refusal.message).toContain(`'${path}'`);
});

test("given an effort that became a budget, then the hint says so; and one that is taken as it is has none", () => {
  expect(convert("chat", "messages", "claude-haiku-4-5", asked("low"))).toMatchObject({
    dropped: ["reasoning_effort"],
  });
  expect(convert("chat", "messages", "claude-opus-4-7", asked("low"))).toMatchObject({ dropped: [] });
  const exact = { reasoning: { max_tokens: 2_000 } };
  expect(convert("chat", "messages", "claude-haiku-4-5", exact)).toMatchObject({ dropped: [] });
});

test("given the default temperature, when the model samples as it likes, then it is left out", () => {
  const converted = convert("chat", "messages", "claude-opus-4-7", { temperature: 1, top_p: 1 });
  if (!converted.ok) throw new Error(converted.refusal.message);
  expect(Object.keys(converted.value.body).sort()).toEqual(["max_tokens", "messages", "model"]);
});

describe("names", () => {
  test.each([
    ["claude-instant-1.2", "none"],
    ["claude-3.5-sonnet", "none"],
    ["claude-3-7-sonnet-latest", "budget"],
    ["claude-3-7-sonnet@20250219", "budget"],
    ["claude-opus-4-20250514", "budget"],
    ["Claude-Opus-4.5", "budget"],
    ["global.anthropic.claude-opus-4-6-v1", "both"],
    ["claude-opus-4-7-20260416", "adaptive"],
    ["claude-haiku-5", "adaptive"],
    ["claude-opus-10", "adaptive"],
    ["claude-code-20250219", undefined],
    ["claude-opus-latest", undefined],
    ["gpt-5", undefined],
  ])("%s is of the generation that says %s", (name, says) => {
    expect(claudeThinking(name)?.says).toBe(says);
  });

  test.each([
    ["models/gemini-1.5-pro-002", "none"],
    ["gemini-2.5-flash-lite", "budget"],
    ["gemini-3-flash", "level"],
    ["gemini-10-pro", "level"],
    ["gemini-pro-latest", undefined],
  ])("%s is of the generation that says %s", (name, says) => {
    expect(geminiThinking(name)?.says).toBe(says);
  });
});

const models = [
  ...["claude-3-5-haiku-20241022", "claude-3-7-sonnet-20250219", "claude-opus-4-5", "claude-haiku-4-5"],
  ...["claude-sonnet-4-6", "claude-opus-4-8", "claude-fable-5"],
  ...["gemini-2.0-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-3-pro", "gemini-3.1-flash"],
];

/** What the provider of a model would answer with a 400. */
function complaints(model: string, body: Readonly<Record<string, unknown>>): string[] {
  const found: string[] = [];
  const say = (isWrong: boolean, what: string): void => {
    if (isWrong) found.push(what);
  };
  if (model.startsWith("gemini")) {
    const { thinkingConfig = {} } = (body["generationConfig"] ?? {}) as { thinkingConfig?: Record<string, unknown> };
    const { thinkingBudget: budget, thinkingLevel: level } = thinkingConfig;
    say(budget !== undefined && level !== undefined, "both");
    say(model.startsWith("gemini-2.0") && Object.keys(thinkingConfig).length > 0, "no thinking");
    say(model.startsWith("gemini-2") && level !== undefined, "level");
    say(model.startsWith("gemini-3") && budget !== undefined, "budget");
    say(model === "gemini-2.5-pro" && budget !== undefined && !within(budget, 128, 32_768), "range");
    say(
      model === "gemini-2.5-flash-lite" && budget !== undefined && budget !== 0 && !within(budget, 512, 24_576),
      "range",
    );
    say(model === "gemini-3-pro" && level !== undefined && level !== "LOW" && level !== "HIGH", "level");
    return found;
  }
  const type = (body["thinking"] as { type?: string } | undefined)?.type;
  const budget = (body["thinking"] as { budget_tokens?: number } | undefined)?.budget_tokens;
  const effort = (body["output_config"] as { effort?: string } | undefined)?.effort;
  const version = Number(/(\d)-?(\d)?(?!\d)/.exec(model)?.slice(1).join("").padEnd(2, "0"));
  say(type === "adaptive" && version < 46, "adaptive");
  say(type === "enabled" && (version > 46 || version < 37), "enabled");
  say(type === "disabled" && model.includes("fable"), "disabled");
  say(effort !== undefined && version < 46 && model !== "claude-opus-4-5", "effort");
  say(effort === "xhigh" && version <= 46, "xhigh");
  say(type === "enabled" && !within(budget, 1_024, (body["max_tokens"] as number) - 1), "budget");
  const isSampled = [body["temperature"], body["top_k"]].some((value) => value !== undefined && value !== 1);
  say(isSampled && (version > 46 || (type === "enabled" && version < 46)), "sampling");
  return found;
}

function within(value: unknown, least: number, most: number): boolean {
  return typeof value === "number" && value >= least && value <= most;
}

test("given anything a client may ask of reasoning, then what goes out is what the model's provider takes, or it is refused by its place", () => {
  const wish = fc.record(
    {
      reasoning_effort: fc.constantFrom("none", "minimal", "low", "medium", "high", "xhigh", "max"),
      reasoning: fc.record(
        {
          effort: fc.constantFrom("none", "low", "max"),
          max_tokens: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 200_000 })),
          exclude: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
      max_tokens: fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 200_000 })),
      temperature: fc.constantFrom(0.5, 1),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.constantFrom(...models), wish, (model, said) => {
      const to = model.startsWith("gemini") ? "gemini" : "messages";
      const converted = convert("chat", to, model, said);
      if (converted.ok) expect(complaints(model, converted.value.body)).toEqual([]);
      else expect(Object.keys(said)).toContain(converted.refusal.path);
    }),
    { numRuns: propertyRuns(300) },
  );
});
