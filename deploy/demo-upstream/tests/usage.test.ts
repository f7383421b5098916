import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { generate, type GenerationRequest } from "../src/generate.ts";
import { resolveModel, type Model } from "../src/models.ts";
import {
  anthropicCacheSplit,
  choiceTokens,
  imageTokens,
  itemTokens,
  noCache,
  openAiCacheSplit,
  promptTokens,
  textTokens,
  truncateToTokens,
  type PromptItem,
} from "../src/usage.ts";

const text = fc.string({ unit: "grapheme", maxLength: 400 });
const item: fc.Arbitrary<PromptItem> = fc.record({
  role: fc.constantFrom("system", "user", "assistant"),
  text,
  media: fc.integer({ min: 0, max: 5 }),
});
const items = fc.array(item, { minLength: 1, maxLength: 12 });
const defaults = { slowFirstByteMs: 1, faultAfterChunks: 1 };
const modelOf = (name: string): Model => resolveModel(name, defaults)!;

const request = (change: Partial<GenerationRequest>): GenerationRequest => ({
  model: modelOf("demo-small"),
  items: [],
  cache: noCache,
  userText: "",
  toolResult: undefined,
  choices: 1,
  outputTokensMax: undefined,
  stops: [],
  tools: [],
  toolChoice: { kind: "auto" },
  parallelToolCalls: true,
  thinkingRounds: 0,
  jsonSchema: undefined,
  ...change,
});

describe("counting tokens", () => {
  test("given known texts, then four bytes are a token and a rest is one more", () => {
    expect(["", "a", "abcd", "abcde", "привет", "😀"].map(textTokens)).toEqual([0, 1, 1, 2, 3, 1]);
    expect(itemTokens({ role: "user", text: "abcd", media: 2 })).toBe(4 + 1 + 170);
    expect(promptTokens([{ role: "user", text: "hi", media: 0 }])).toBe(3 + 4 + 1);
    expect([imageTokens(1_024, 1_024, "medium"), imageTokens(1_024, 1_024, "low")]).toEqual([1_024, 256]);
  });

  test("given any text, when more is added, then the count never falls and grows by at most its own count", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const joined = textTokens(a + b);
        return joined >= textTokens(a) && joined <= textTokens(a) + textTokens(b);
      }),
    );
  });

  test("given any prompt, then its count is the sum of its items whatever their order", () => {
    fc.assert(
      fc.property(items, (prompt) => {
        const total = promptTokens(prompt);
        expect(promptTokens([...prompt].reverse())).toBe(total);
        expect(total).toBe(3 + prompt.reduce((sum, one) => sum + itemTokens(one), 0));
      }),
    );
  });

  test("given any text and bound, when it is cut, then the head counts the bound exactly or is the whole text", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 120 }), (whole, tokens) => {
        const head = truncateToTokens(whole, tokens);
        expect(whole.startsWith(head)).toBe(true);
        if (head !== whole) expect(textTokens(head)).toBe(tokens);
        else expect(textTokens(whole)).toBeLessThanOrEqual(tokens);
      }),
    );
  });

  test("given any prompt, then what the cache took part in never exceeds the prompt", () => {
    const marked = fc.array(
      fc
        .tuple(item, fc.constantFrom(undefined, "5m" as const, "1h" as const), fc.integer({ min: 1, max: 40 }))
        .map(([one, cacheTtl, times]) => ({
          ...one,
          text: one.text.repeat(times),
          ...(cacheTtl ? { cacheTtl } : {}),
        })),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(marked, (prompt) => {
        for (const split of [openAiCacheSplit(prompt), anthropicCacheSplit(prompt)]) {
          const parts = [split.cacheRead, split.cacheWrite5m, split.cacheWrite1h];
          expect(parts.filter((part) => part > 0).length).toBeLessThanOrEqual(1);
          expect(parts.reduce((sum, part) => sum + part)).toBeLessThanOrEqual(promptTokens(prompt));
        }
      }),
    );
  });
});

describe("generated answers", () => {
  const names = ["demo-small", "demo-large", "demo-tools", "demo-reasoning", "demo-length-300", "demo-refusal"];
  const anyRequest = fc
    .record({
      name: fc.constantFrom(...names),
      userText: text,
      outputTokensMax: fc.integer({ min: 1, max: 200 }),
      choices: fc.integer({ min: 1, max: 4 }),
      thinkingRounds: fc.integer({ min: 0, max: 3 }),
      stops: fc.array(fc.constantFrom(" ", "demo", "демо", ".", "\n"), { maxLength: 3 }),
      items,
    })
    .map(({ name, ...rest }) =>
      request({
        ...rest,
        model: modelOf(name),
        tools: [
          {
            name: "find",
            parameters: { type: "object", properties: { q: { type: "string" }, n: { type: "integer" } } },
          },
        ],
      }),
    );

  test("given any request, then no choice counts more than its limit, and `length` means that it is reached or nearly", () => {
    fc.assert(
      fc.property(anyRequest, (one) => {
        for (const choice of generate(one).choices) {
          const limit = one.outputTokensMax ?? Infinity;
          expect(choiceTokens(choice)).toBeLessThanOrEqual(limit);
          // A tool call whose name no longer fits is dropped whole, so a call may stop a little short.
          if (choice.finish === "length") expect(choiceTokens(choice)).toBeGreaterThanOrEqual(limit - 5);
        }
      }),
    );
  });

  test("given any request, when it is made twice, then answer and usage are the same, and usage counts the answer", () => {
    fc.assert(
      fc.property(anyRequest, (one) => {
        const first = generate(one);
        expect(generate(structuredClone(one))).toEqual(first);
        expect(first.usage.prompt).toBe(promptTokens(one.items));
        expect(first.usage.completion).toBe(first.choices.reduce((sum, choice) => sum + choiceTokens(choice), 0));
        expect(first.usage.reasoning).toBeLessThanOrEqual(first.usage.completion);
      }),
    );
  });

  test("given demo-length-N, then the answer counts exactly N in either language", () => {
    for (const userText of ["how are you", "как дела"]) {
      const answer = generate(request({ model: modelOf("demo-length-777"), userText }));
      expect(answer.usage.completion).toBe(777);
    }
  });

  test("given a stop sequence in the answer, then no answer contains it", () => {
    fc.assert(
      fc.property(text, (userText) => {
        const [choice] = generate(request({ userText, stops: ["demo model", "демо-модель"] })).choices;
        expect(choice?.text).not.toMatch(/demo model|демо-модель/);
        expect(choice?.finish).toBe("stop-sequence");
      }),
    );
  });
});
