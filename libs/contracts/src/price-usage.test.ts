import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { divideHalfEven } from "@codex/kernel/money";
import { propertyRuns } from "@codex/testkit";
import fc from "fast-check";
import { priceFile } from "./http/price-versions.ts";
import { priceBound, priceUsage, promptTokensOf, termsOf, tokensOnly, type PricedUsage } from "./price-usage.ts";
import { tokenClasses, weekDays, type ModelPrice, type PriceGroup, type Rates, type TokenCounts } from "./pricing.ts";

const classes = <T>(value: fc.Arbitrary<T>) =>
  fc.record({
    input: value,
    cachedInput: value,
    cacheWrite: value,
    cacheWrite1h: value,
    output: value,
    reasoning: value,
  });
const rate = fc.bigInt({ min: 0n, max: 10n ** 12n });
const rates: fc.Arbitrary<Rates> = classes(rate);
const few = fc.oneof(fc.nat(300), fc.nat(10 ** 7));
const tokens: fc.Arbitrary<TokenCounts> = classes(few);
const ppm = fc.oneof(fc.constantFrom(0, 500_000, 1_000_000, 2_000_000), fc.nat(100_000_000));
const clock = fc
  .nat(24 * 60 - 1)
  .map((minutes) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`);
const variants = ["small", "large", "unlisted"];
const price: fc.Arbitrary<ModelPrice> = fc.record({
  model: fc.constant("m"),
  displayName: fc.constant("M"),
  contextTokens: fc.constant(1),
  outputTokensMax: fc.constant(1),
  rates,
  perRequest: rate,
  perImage: fc
    .subarray(variants.slice(0, 2))
    .chain((listed) =>
      fc.tuple(...listed.map((variant) => fc.record({ variant: fc.constant(variant), microTokens: rate }))),
    ),
  perAudioSecond: rate,
  tiers: fc
    .uniqueArray(fc.record({ aboveInputTokens: fc.oneof(fc.integer({ min: 1, max: 500 }), fc.nat(10 ** 7)), rates }), {
      selector: (tier) => tier.aboveInputTokens,
      maxLength: 8,
    })
    .map((tiers) => tiers.sort((a, b) => a.aboveInputTokens - b.aboveInputTokens)),
  offPeak: fc.array(
    fc.record({
      days: fc.subarray([...weekDays], { minLength: 1 }),
      fromUtc: clock,
      toUtc: fc.oneof(clock, fc.constant("24:00")),
      multiplierPpm: ppm,
    }),
    { maxLength: 8 },
  ),
});
const names = ["default", "vip", "partner", "stranger"];
const groups: fc.Arbitrary<PriceGroup[]> = fc
  .subarray(names.slice(0, 3))
  .chain((listed) => fc.tuple(...listed.map((group) => fc.record({ group: fc.constant(group), multiplierPpm: ppm }))));
const moment = fc
  .date({ min: new Date("2026-01-01T00:00:00Z"), max: new Date("2027-12-31T00:00:00Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const usage: fc.Arbitrary<PricedUsage> = fc.record({
  tokens,
  images: fc.option(fc.record({ count: fc.nat(100), variant: fc.constantFrom(...variants) })),
  audioMs: few,
  startedAt: moment,
  priceGroup: fc.constantFrom(...names),
});

const free: ModelPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 1,
  outputTokensMax: 1,
  rates: { input: 0n, cachedInput: 0n, cacheWrite: 0n, cacheWrite1h: 0n, output: 0n, reasoning: 0n },
  perRequest: 0n,
  perImage: [],
  perAudioSecond: 0n,
  tiers: [],
  offPeak: [],
};
const none: TokenCounts = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };
const all: TokenCounts = { input: 1, cachedInput: 1, cacheWrite: 1, cacheWrite1h: 1, output: 1, reasoning: 1 };

describe("what usage costs", () => {
  test("given fractions in several classes, when they are charged, then they are added exactly and rounded once", () => {
    const model = { ...free, rates: { ...free.rates, input: 333_333n, output: 1_500_000n }, perRequest: 7n };
    // 3 × 0.333333 + 1 × 1.5 + 7 = 9.499999; a rounding a class would give 1 + 2 + 7 = 10.
    expect(priceUsage(model, tokensOnly({ ...none, input: 3, output: 1 }), [])).toBe(9n);
  });

  test("given a sum that ends in exactly one half, when it is charged, then the whole sum is rounded to even, the request part included", () => {
    const model = { ...free, rates: { ...free.rates, input: 500_000n } };
    const one = tokensOnly({ ...none, input: 1 });
    expect(priceUsage(model, one, [])).toBe(0n);
    expect(priceUsage({ ...model, perRequest: 1n }, one, [])).toBe(2n);
    expect(priceUsage({ ...model, perRequest: 2n }, one, [])).toBe(2n);
  });

  test("given one token of each class, when one class has a price, then only its token is charged", () => {
    for (const tokenClass of tokenClasses) {
      const model = { ...free, rates: { ...free.rates, [tokenClass]: 5_000_000n } };
      expect(priceUsage(model, tokensOnly({ ...none, [tokenClass]: 2 }), [])).toBe(10n);
      expect(priceUsage(model, tokensOnly(all), [])).toBe(5n);
    }
  });

  test("given pictures and sound, when they are charged, then each picture costs its variant and each second its part", () => {
    const model = {
      ...free,
      perImage: [
        { variant: "low", microTokens: 11n },
        { variant: "high", microTokens: 170n },
      ],
      perAudioSecond: 6n,
    };
    const used = tokensOnly(none);
    expect(priceUsage(model, { ...used, images: { count: 3, variant: "low" } }, [])).toBe(33n);
    expect(priceUsage(model, { ...used, images: { count: 3, variant: "other" } }, [])).toBe(510n);
    expect(priceUsage(model, { ...used, audioMs: 1_750 }, [])).toBe(10n);
  });

  test("given a prompt on either side of a bound, when it is charged, then above it the whole request has the tier's rates", () => {
    const dear = { ...free.rates, input: 4_000_000n, cachedInput: 2_000_000n, output: 10_000_000n };
    const dearer = { ...free.rates, input: 9_000_000n };
    const model: ModelPrice = {
      ...free,
      rates: { ...free.rates, input: 2_000_000n, cachedInput: 1_000_000n, output: 5_000_000n },
      tiers: [
        { aboveInputTokens: 200, rates: dear },
        { aboveInputTokens: 400, rates: dearer },
      ],
    };
    const cost = (counts: Partial<TokenCounts>): bigint => priceUsage(model, tokensOnly({ ...none, ...counts }), []);
    expect(cost({ input: 100, cachedInput: 100, output: 1 })).toBe(305n);
    expect(cost({ input: 101, cachedInput: 100, output: 1 })).toBe(614n);
    expect(cost({ input: 400 })).toBe(1_600n);
    expect(cost({ input: 401 })).toBe(3_609n);
    // Tokens of the answer do not make a prompt longer.
    expect(cost({ input: 200, output: 900 })).toBe(4_900n);
  });

  test.each([
    ["2026-11-27T16:29:59.999Z", 100n, "Friday, before it begins"],
    ["2026-11-27T16:30:00.000Z", 50n, "Friday, as it begins"],
    ["2026-11-28T00:29:59.999Z", 50n, "Saturday, still Friday's window"],
    ["2026-11-28T00:30:00.000Z", 100n, "Saturday, as it ends"],
    ["2026-11-28T17:00:00.000Z", 100n, "Saturday is not one of its days"],
    ["2026-11-26T00:10:00.000Z", 100n, "Thursday, the day before it first begins"],
    ["2026-11-29T23:59:59.999Z", 80n, "Sunday, all day"],
  ])("given a window over midnight, when a request is admitted at %s, then it costs %s (%s)", (startedAt, cost) => {
    const model: ModelPrice = {
      ...free,
      perRequest: 100n,
      offPeak: [
        { days: ["thu", "fri"], fromUtc: "16:30", toUtc: "00:30", multiplierPpm: 500_000 },
        { days: ["sun"], fromUtc: "00:00", toUtc: "24:00", multiplierPpm: 800_000 },
      ],
    };
    expect(priceUsage(model, tokensOnly(none, startedAt), [])).toBe(cost);
  });

  test("given groups, when a customer of each is charged, then the multiplier is on everything, and a stranger pays as default and is known as one", () => {
    const model = { ...free, rates: { ...free.rates, input: 1_000_000n }, perRequest: 10n };
    const book: PriceGroup[] = [
      { group: "vip", multiplierPpm: 850_000 },
      { group: "default", multiplierPpm: 1_100_000 },
    ];
    const used = (priceGroup: string): PricedUsage => ({ ...tokensOnly({ ...none, input: 90 }), priceGroup });
    expect(priceUsage(model, used("vip"), book)).toBe(85n);
    expect(priceUsage(model, used("default"), book)).toBe(110n);
    expect(priceUsage(model, used("stranger"), book)).toBe(110n);
    expect(priceUsage(model, used("default"), [])).toBe(100n);
    expect(termsOf(model, used("stranger"), book).groupKnown).toBe(false);
    expect(termsOf(model, used("default"), []).groupKnown).toBe(true);
  });

  test("given any price and usage, when it is charged, then it is the exact fraction of the documentation, rounded half to even", () => {
    fc.assert(
      fc.property(price, usage, groups, (model, used, book) => {
        const terms = termsOf(model, used, book);
        const prompt = promptTokensOf(used.tokens);
        const tier = model.tiers.filter((candidate) => candidate.aboveInputTokens < prompt).at(-1);
        const rated = tier?.rates ?? model.rates;
        expect(terms.rates).toEqual(rated);
        // In units of 10⁻¹⁸ micro-token, written out the long way.
        let exact = model.perRequest * 10n ** 18n;
        for (const name of tokenClasses) exact += BigInt(used.tokens[name]) * rated[name] * 10n ** 12n;
        exact += BigInt(used.images?.count ?? 0) * terms.imageRate * 10n ** 18n;
        exact += BigInt(used.audioMs) * model.perAudioSecond * 10n ** 15n;
        exact = (exact / 10n ** 12n) * BigInt(terms.offPeakPpm) * BigInt(terms.groupPpm);
        expect(priceUsage(model, used, book)).toBe(divideHalfEven(exact, 10n ** 18n));
      }),
      { numRuns: propertyRuns(300) },
    );
  });
});

test("given the file and the example of docs/prices.md, when the example is charged, then it costs what the text says", () => {
  const text = readFileSync(new URL("../../../docs/prices.md", import.meta.url), "utf8");
  const { models, groups } = priceFile.parse(JSON.parse(/```json\n([\s\S]*?)\n```/.exec(text)?.[1] ?? ""));
  const [model = free] = models;
  const used = {
    ...tokensOnly({ ...none, input: 50_000, cachedInput: 200_000, output: 1_000 }, "2026-12-01T18:00:00.000Z"),
    priceGroup: "partner",
  };
  expect(text).toContain("199,125 micro-tokens");
  expect(priceUsage(model, used, groups)).toBe(199_125n);
});

describe("the bound of what a request can cost", () => {
  const bound = {
    hourCache: false,
    answerTokens: 0,
    images: null,
    audioMs: 0,
    startedAt: undefined,
    priceGroup: undefined,
  };

  test("given a tier that is cheaper than the one below, when the prompt may be short, then the dearer one counts", () => {
    const model: ModelPrice = {
      ...free,
      rates: { ...free.rates, input: 9_000_000n },
      tiers: [{ aboveInputTokens: 10, rates: { ...free.rates, input: 1_000_000n } }],
    };
    expect(priceBound(model, { ...bound, promptTokens: 11 }, [])).toBe(99n);
  });

  test("given a request that cannot ask for an hour of cache, then that class is not in its bound", () => {
    const model: ModelPrice = { ...free, rates: { ...free.rates, cacheWrite: 2_000_000n, cacheWrite1h: 5_000_000n } };
    expect(priceBound(model, { ...bound, promptTokens: 10 }, [])).toBe(20n);
    expect(priceBound(model, { ...bound, promptTokens: 10, hourCache: true }, [])).toBe(50n);
  });

  test("given any price and any usage within the bound, when both are computed, then the bound is never below the charge", () => {
    const known = fc.record({ time: fc.boolean(), group: fc.boolean(), variant: fc.boolean() });
    fc.assert(
      fc.property(price, usage, groups, few, few, known, (model, used, book, morePrompt, moreAnswer, knows) => {
        const most = priceBound(
          model,
          {
            promptTokens: promptTokensOf(used.tokens) + morePrompt,
            hourCache: used.tokens.cacheWrite1h > 0,
            answerTokens: used.tokens.output + used.tokens.reasoning + moreAnswer,
            images: used.images && {
              count: used.images.count,
              variant: knows.variant ? used.images.variant : undefined,
            },
            audioMs: used.audioMs,
            startedAt: knows.time ? used.startedAt : undefined,
            priceGroup: knows.group ? used.priceGroup : undefined,
          },
          book,
        );
        return most >= priceUsage(model, used, book);
      }),
      { numRuns: propertyRuns(500) },
    );
  });
});
