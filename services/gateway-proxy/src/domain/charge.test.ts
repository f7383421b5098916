import type { ModelPrice } from "@codex/contracts";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { chunkFacts } from "./chat-chunk.ts";
import { chargeFor, type Outcome, type Tariff } from "./charge.ts";
import { holdFor, outputTokensUseful, shortenedHold } from "./hold.ts";
import { noTokens, tokensFromOpenAiUsage } from "./usage.ts";

const price: ModelPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 100_000,
  outputTokensMax: 4_096,
  rates: {
    input: 1_000_000n,
    cachedInput: 100_000n,
    cacheWrite: 1_250_000n,
    cacheWrite1h: 2_000_000n,
    output: 4_000_000n,
    reasoning: 5_000_000n,
  },
  perRequest: 10n,
  perImage: [],
  perAudioSecond: 0n,
  tiers: [],
  offPeak: [],
};
const tariff: Tariff = { price, groups: [], priceGroup: "default", startedAt: "2026-11-23T10:00:00.000Z" };
const base: Outcome = { accepted: true, ending: "finished", usage: undefined, inputBytes: 400, deliveredBytes: 0 };
const plenty = 10n ** 15n;

test("what the upstream never accepted costs nothing, whatever it claims", () => {
  const usage = { ...noTokens, input: 100, output: 100 };
  expect(chargeFor({ ...base, accepted: false, usage }, tariff, plenty)).toEqual({
    tokens: noTokens,
    images: null,
    audioMs: 0,
    estimated: false,
    cost: 0n,
  });
});

test("reported usage is charged, also when the client left", () => {
  const usage = { ...noTokens, input: 100, output: 10 };
  for (const ending of ["finished", "client_closed", "upstream_cut"] as const) {
    expect(chargeFor({ ...base, ending, usage }, tariff, plenty).cost).toBe(100n + 40n + 10n);
  }
});

test("an explicit zero means zero, and is not replaced by an estimate", () => {
  const usage = tokensFromOpenAiUsage({ prompt_tokens: 0, completion_tokens: 0 });
  expect(chargeFor({ ...base, usage, deliveredBytes: 4_000 }, tariff, plenty)).toEqual({
    tokens: noTokens,
    images: null,
    audioMs: 0,
    estimated: false,
    cost: 10n,
  });
});

test("without usage, input and delivered output are estimated and marked", () => {
  const charge = chargeFor({ ...base, deliveredBytes: 40 }, tariff, plenty);
  expect(charge).toMatchObject({ tokens: { ...noTokens, input: 100, output: 10 }, estimated: true, cost: 150n });
});

test("nothing delivered: the client who left pays its input, nobody pays for a cut upstream", () => {
  expect(chargeFor({ ...base, ending: "client_closed" }, tariff, plenty).cost).toBe(110n);
  expect(chargeFor({ ...base, ending: "upstream_cut" }, tariff, plenty).cost).toBe(0n);
});

test("the charge never exceeds the hold, never is negative, and does not fall while more is delivered", () => {
  const amounts = fc.bigInt({ min: 0n, max: 10n ** 9n });
  fc.assert(
    fc.property(amounts, fc.nat(1_000_000), fc.nat(1_000_000), fc.nat(1_000_000), (hold, inputBytes, some, more) => {
      const less = chargeFor({ ...base, ending: "client_closed", inputBytes, deliveredBytes: some }, tariff, hold).cost;
      const most = chargeFor(
        { ...base, ending: "client_closed", inputBytes, deliveredBytes: some + more },
        tariff,
        hold,
      ).cost;
      return less >= 0n && less <= most && most <= hold;
    }),
  );
});

test.each([
  ["negative", { prompt_tokens: -1, completion_tokens: 5 }],
  ["a fraction", { prompt_tokens: 1.5, completion_tokens: 5 }],
  ["text", { prompt_tokens: "10", completion_tokens: 5 }],
  ["absurdly large", { prompt_tokens: 1e12, completion_tokens: 5 }],
  ["not a number", { prompt_tokens: Number.NaN, completion_tokens: 5 }],
  ["half missing", { prompt_tokens: 10 }],
  ["null", null],
  ["a string", "lots"],
])("hostile usage is not believed: %s", (_name, usage) => {
  expect(tokensFromOpenAiUsage(usage)).toBeUndefined();
});

test("details move tokens between classes and never add any", () => {
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 50,
    prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
    completion_tokens_details: { reasoning_tokens: 20 },
  };
  expect(tokensFromOpenAiUsage(usage)).toEqual({
    input: 30,
    cachedInput: 60,
    cacheWrite: 10,
    cacheWrite1h: 0,
    output: 30,
    reasoning: 20,
  });
  const hour = { cache_creation_tokens: 30, cache_creation_token_details: { ephemeral_1h_input_tokens: 20 } };
  expect(tokensFromOpenAiUsage({ ...usage, prompt_tokens_details: hour })).toMatchObject({
    input: 70,
    cacheWrite: 10,
    cacheWrite1h: 20,
  });
  const lying = {
    ...usage,
    prompt_tokens_details: { cached_tokens: 101 },
    completion_tokens_details: { reasoning_tokens: 51 },
  };
  expect(tokensFromOpenAiUsage(lying)).toEqual({ ...noTokens, input: 100, output: 50 });
});

test("the hold covers any usage within the bounds it was made for", () => {
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(100),
      fc.nat(100),
      fc.nat(100),
      (bodyBytes, answers, a, b, c) => {
        const hold = holdFor(tariff, { bodyBytes, imageUrls: 0, outputTokensAsked: undefined, answers });
        const prompt = Math.floor((bodyBytes * a) / 100);
        const output = Math.floor((hold.outputTokens * answers * c) / 100);
        const cached = Math.floor((prompt * b) / 100);
        const usage = { ...noTokens, input: prompt - cached, cacheWrite: cached, reasoning: output };
        const { cost } = chargeFor({ ...base, usage }, tariff, plenty);
        return cost <= hold.amount;
      },
    ),
  );
});

test("a count replaces the bytes as the bound, with a margin, and never makes the hold larger", () => {
  const input = { bodyBytes: 1_000, imageUrls: 0, outputTokensAsked: 1, answers: 1 };
  expect(holdFor(tariff, { ...input, countedTokens: 100 }).amount).toBe((125n * 5n + 3n) / 4n + 5n + 10n);
  expect(holdFor(tariff, { ...input, countedTokens: 5_000 })).toEqual(holdFor(tariff, input));
});

test("the client's own bound is kept, up to the model's maximum", () => {
  const input = { bodyBytes: 0, imageUrls: 0, answers: 1 };
  expect(holdFor(tariff, { ...input, outputTokensAsked: 10 })).toEqual({ amount: 60n, outputTokens: 10 });
  expect(holdFor(tariff, { ...input, outputTokensAsked: 999_999 }).outputTokens).toBe(4_096);
});

test("a shorter answer is found that just fits, and none when the client set the bound or nothing useful fits", () => {
  const input = { bodyBytes: 0, imageUrls: 0, outputTokensAsked: undefined, answers: 1 };
  expect(shortenedHold(tariff, input, 510n)).toEqual({ amount: 510n, outputTokens: 100 });
  expect(shortenedHold(tariff, input, 514n)).toEqual({ amount: 510n, outputTokens: 100 });
  expect(shortenedHold(tariff, { ...input, outputTokensAsked: 500 }, 510n)).toBeUndefined();
  expect(shortenedHold(tariff, input, BigInt(outputTokensUseful) * 5n + 9n)).toBeUndefined();
});

test("answer text is measured in every field that carries it, escapes included", () => {
  const chunk = Buffer.from(
    '{"choices":[{"delta":{"content":"a\\"b","reasoning_content":"да","tool_calls":[{"function":{"arguments":"{}"}}]}}]}',
  );
  expect(chunkFacts({ text: chunk.toString("latin1"), from: 0, to: chunk.length }).answerBytes).toBe(4 + 4 + 2);
});

describe("the hold is the worst case of the book", () => {
  const flat = { ...price.rates, input: 1_000_000n, cachedInput: 0n, cacheWrite: 0n, cacheWrite1h: 0n };
  const dear = { ...flat, input: 3_000_000n };
  const tiered: Tariff = {
    ...tariff,
    price: { ...price, perRequest: 0n, rates: flat, tiers: [{ aboveInputTokens: 200, rates: dear }] },
  };
  const ask = { imageUrls: 0, outputTokensAsked: 0, answers: 1 };

  test.each([
    ["a prompt that cannot reach the tier", 200, 200n],
    ["a prompt of one token more: all of it at the tier's rates", 201, 603n],
  ])("given %s, when it is held", (_name, bodyBytes, amount) => {
    expect(holdFor(tiered, { ...ask, bodyBytes }).amount).toBe(amount);
  });

  test.each([
    [undefined, 400n],
    ["default", 200n],
    ["dear", 400n],
    ["cheap", 100n],
  ])("given the group %s, when it is held, then an unknown one is taken for the dearest", (priceGroup, amount) => {
    const groups = [
      { group: "dear", multiplierPpm: 2_000_000 },
      { group: "cheap", multiplierPpm: 500_000 },
    ];
    expect(holdFor({ ...tiered, groups, priceGroup }, { ...ask, bodyBytes: 200 }).amount).toBe(amount);
  });

  test("given a cheap hour, when a request is admitted in it, then hold and charge agree on the hour", () => {
    const offPeak = [{ days: ["mon" as const], fromUtc: "09:00", toUtc: "11:00", multiplierPpm: 500_000 }];
    const cheap: Tariff = { ...tiered, price: { ...tiered.price, offPeak } };
    expect(holdFor(cheap, { ...ask, bodyBytes: 200 }).amount).toBe(100n);
    expect(chargeFor({ ...base, usage: { ...noTokens, input: 200 } }, cheap, plenty).cost).toBe(100n);
  });
});
