import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { priceBound, priceUsage, tokenClasses, type ModelPrice, type TokenCounts } from "./pricing.ts";

const rate = fc.bigInt({ min: 0n, max: 10n ** 12n });
const tokens = fc.record(
  Object.fromEntries(tokenClasses.map((name) => [name, fc.integer({ min: 0, max: 10 ** 7 })])),
) as fc.Arbitrary<TokenCounts>;
const price = fc.record({
  model: fc.constant("m"),
  displayName: fc.constant("M"),
  contextTokens: fc.constant(1),
  outputTokensMax: fc.constant(1),
  rates: fc.record(Object.fromEntries(tokenClasses.map((name) => [name, rate]))),
  perRequest: rate,
}) as fc.Arbitrary<ModelPrice>;

const free: ModelPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 1,
  outputTokensMax: 1,
  rates: { input: 0n, cachedInput: 0n, cacheWrite: 0n, output: 0n, reasoning: 0n },
  perRequest: 0n,
};
const none: TokenCounts = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 };

test("a charge is the exact sum, rounded once", () => {
  const model = { ...free, rates: { ...free.rates, input: 333_333n, output: 1_500_000n }, perRequest: 7n };
  // 3 × 0.333333 + 1 × 1.5 = 2.499999 micro-tokens → 2, plus 7 for the request; two roundings would give 1 + 2 = 3.
  expect(priceUsage(model, { ...none, input: 3, output: 1 })).toBe(9n);
});

test("every class is priced by its own rate", () => {
  for (const tokenClass of tokenClasses) {
    const model = { ...free, rates: { ...free.rates, [tokenClass]: 5_000_000n } };
    expect(priceUsage(model, { ...none, [tokenClass]: 2 })).toBe(10n);
    expect(priceUsage(model, { input: 1, cachedInput: 1, cacheWrite: 1, output: 1, reasoning: 1 })).toBe(5n);
  }
});

test("the bound is never below the charge of the same or of fewer tokens", () => {
  fc.assert(
    fc.property(price, tokens, tokens, (model, some, more) => {
      const sum = Object.fromEntries(
        tokenClasses.map((name) => [name, some[name] + more[name]]),
      ) as unknown as TokenCounts;
      return priceBound(model, sum) >= priceUsage(model, some);
    }),
  );
});
