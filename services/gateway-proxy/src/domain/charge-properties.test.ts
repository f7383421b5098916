import { priceUsage, type ModelPrice, type TokenCounts } from "@codex/contracts";
import { propertyRuns } from "@codex/testkit";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { chargeFor, doubtOf, nextLookBytes, type Ending, type Outcome, type Tariff } from "./charge.ts";
import { estimateTokens, noTokens, tokensFromOpenAiUsage } from "./usage.ts";

// The published rule of docs/money-rules.md, for any answer, any end of it, any price, and anything an upstream may say.

const runs = { numRuns: propertyRuns(300) };
const startedAt = "2026-11-23T10:00:00.000Z";
const rate = fc.bigInt({ min: 0n, max: 20_000_000_000n });
const tariffs: fc.Arbitrary<Tariff> = fc
  .record({ input: rate, cachedInput: rate, cacheWrite: rate, cacheWrite1h: rate, output: rate, reasoning: rate })
  .chain((rates) =>
    fc.bigInt({ min: 0n, max: 1_000_000n }).map((perRequest): Tariff => {
      const price: ModelPrice = {
        model: "m",
        displayName: "M",
        contextTokens: 100_000,
        outputTokensMax: 4_096,
        rates,
        perRequest,
        perImage: [],
        perAudioSecond: 0n,
        tiers: [],
        offPeak: [],
      };
      return { price, groups: [], priceGroup: "default", startedAt };
    }),
  );
const count = fc.nat(200_000);
const usages: fc.Arbitrary<TokenCounts> = fc
  .record({
    input: count,
    cachedInput: count,
    cacheWrite: count,
    output: count,
    reasoning: count,
  })
  .map((counts) => ({ ...noTokens, ...counts }));
const holds = fc.bigInt({ min: 0n, max: 10n ** 12n });
const endings = fc.constantFrom<Ending>("finished", "client_closed", "upstream_cut");
const plenty = 10n ** 30n;

function priceOf({ price, groups, priceGroup }: Tariff, tokens: TokenCounts): bigint {
  return priceUsage(price, { tokens, images: null, audioMs: 0, startedAt, priceGroup }, groups);
}

function clamp(amount: bigint, hold: bigint): bigint {
  return amount > hold ? hold : amount;
}

test("cut at every piece: what the client pays never falls while more is delivered, and ends at the price of the whole", () => {
  fc.assert(
    fc.property(
      tariffs,
      holds,
      fc.nat(100_000),
      fc.array(fc.nat(2_000), { maxLength: 40 }),
      (tariff, hold, inputBytes, pieces) => {
        const outcome = (deliveredBytes: number, ending: Ending): Outcome => ({
          accepted: true,
          ending,
          usage: undefined,
          inputBytes,
          deliveredBytes,
        });
        let delivered = 0;
        let before = chargeFor(outcome(0, "client_closed"), tariff, hold).cost;
        for (const bytes of pieces) {
          delivered += bytes;
          const { cost, estimated } = chargeFor(outcome(delivered, "client_closed"), tariff, hold);
          expect(estimated).toBe(true);
          expect(cost).toBeGreaterThanOrEqual(before);
          // The same as if the upstream had broken off there, once anything was delivered.
          if (delivered > 0) expect(chargeFor(outcome(delivered, "upstream_cut"), tariff, hold).cost).toBe(cost);
          before = cost;
        }
        const whole = { ...noTokens, input: estimateTokens(inputBytes), output: estimateTokens(delivered) };
        expect(before).toBe(clamp(priceOf(tariff, whole), hold));
        if (delivered > 0) expect(chargeFor(outcome(delivered, "finished"), tariff, hold).cost).toBe(before);
      },
    ),
    runs,
  );
});

test("what the upstream never took, and what it took and broke off before a word, costs nothing", () => {
  fc.assert(
    fc.property(
      tariffs,
      holds,
      endings,
      fc.option(usages, { nil: undefined }),
      count,
      (tariff, hold, ending, usage, bytes) => {
        const outcome: Outcome = { accepted: false, ending, usage, inputBytes: bytes, deliveredBytes: bytes };
        expect(chargeFor(outcome, tariff, hold)).toEqual({
          tokens: noTokens,
          images: null,
          audioMs: 0,
          estimated: false,
          cost: 0n,
        });
        const broken: Outcome = {
          accepted: true,
          ending: "upstream_cut",
          usage: undefined,
          inputBytes: bytes,
          deliveredBytes: 0,
        };
        expect(chargeFor(broken, tariff, hold).cost).toBe(0n);
      },
    ),
    runs,
  );
});

test("reported usage is what is charged, whoever left, within the hold; an explicit zero is zero tokens", () => {
  fc.assert(
    fc.property(tariffs, holds, endings, usages, count, (tariff, hold, ending, usage, bytes) => {
      const outcome: Outcome = { accepted: true, ending, usage, inputBytes: bytes, deliveredBytes: bytes };
      expect(chargeFor(outcome, tariff, hold)).toEqual({
        tokens: usage,
        images: null,
        audioMs: 0,
        estimated: false,
        cost: clamp(priceOf(tariff, usage), hold),
      });
      const nothing = chargeFor({ ...outcome, usage: noTokens }, tariff, plenty);
      expect(nothing).toEqual({
        tokens: noTokens,
        images: null,
        audioMs: 0,
        estimated: false,
        cost: tariff.price.perRequest,
      });
    }),
    runs,
  );
});

test("whatever an upstream puts into `usage`, it is believed whole or not at all, and never adds a token", () => {
  const weird = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.string(),
    fc.constant(null),
    fc.bigInt().map(String),
    fc.boolean(),
  );
  const number = fc.oneof({ weight: 3, arbitrary: fc.nat(1_000_000) }, { weight: 1, arbitrary: weird });
  const usage = fc.oneof(
    fc.anything(),
    fc.record(
      {
        prompt_tokens: number,
        completion_tokens: number,
        prompt_tokens_details: fc.oneof(weird, fc.record({ cached_tokens: number, cache_write_tokens: number })),
        completion_tokens_details: fc.oneof(weird, fc.record({ reasoning_tokens: number })),
      },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(usage, (said) => {
      const tokens = tokensFromOpenAiUsage(said);
      if (!tokens) return;
      const counts = Object.values(tokens);
      for (const each of counts) expect(Number.isSafeInteger(each) && each >= 0).toBe(true);
      const { prompt_tokens: prompt, completion_tokens: completion } = said as Record<string, number>;
      expect(counts.reduce((sum, each) => sum + each, 0)).toBe((prompt ?? 0) + (completion ?? 0));
    }),
    runs,
  );
});

test("a doubt moves no money, and is told for no usage, for more than the hold, and for an answer more than a fifth off", () => {
  fc.assert(
    fc.property(tariffs, holds, fc.option(usages, { nil: undefined }), count, (tariff, hold, usage, deliveredBytes) => {
      const outcome: Outcome = { accepted: true, ending: "finished", usage, inputBytes: 100, deliveredBytes };
      const seen = estimateTokens(deliveredBytes);
      const output = usage?.output ?? 0;
      const farOff = Math.max(output, seen) >= 64 && Math.abs(output - seen) * 5 > seen;
      const expected = !usage
        ? "missing"
        : priceOf(tariff, usage) > hold
          ? "above_hold"
          : farOff
            ? "far_off"
            : undefined;
      expect(doubtOf(outcome, tariff, hold)).toBe(expected);
      expect(doubtOf({ ...outcome, accepted: false }, tariff, hold)).toBeUndefined();
      expect(doubtOf({ ...outcome, ending: "client_closed" }, tariff, hold)).toBeUndefined();
    }),
    runs,
  );
});

test("an answer without a bound is ended within a piece and sixteen tokens of its hold, after few looks", () => {
  const pieces = fc.integer({ min: 1, max: 400 });
  const dear = fc.bigInt({ min: 100_000_000n, max: 20_000_000_000n });
  fc.assert(
    fc.property(
      tariffs,
      dear,
      fc.integer({ min: 64, max: 3_000 }),
      fc.nat(4_000),
      pieces,
      (given, output, tokens, inputBytes, piece) => {
        const tariff: Tariff = { ...given, price: { ...given.price, rates: { ...given.price.rates, output } } };
        const outcome = (deliveredBytes: number): Outcome => ({
          accepted: true,
          ending: "client_closed",
          usage: undefined,
          inputBytes,
          deliveredBytes,
        });
        const hold = priceOf(tariff, { ...noTokens, input: inputBytes, output: tokens });
        let delivered = 0;
        let lookAt: number | undefined = 0;
        let looks = 0;
        while (lookAt !== undefined && delivered < 4_000_000) {
          delivered += piece;
          if (delivered < lookAt) continue;
          looks += 1;
          lookAt = nextLookBytes(outcome(delivered), tariff, hold);
        }
        expect(lookAt).toBeUndefined();
        expect(chargeFor(outcome(delivered), tariff, hold).cost).toBe(hold);
        // The last look that let it go on was a piece and the least distance before, or nearer.
        const earlier = Math.max(0, delivered - piece - 64 - piece);
        expect(chargeFor(outcome(earlier), tariff, plenty).cost).toBeLessThanOrEqual(hold);
        expect(looks).toBeLessThan(400);
      },
    ),
    runs,
  );
});
