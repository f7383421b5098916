import { describe, expect, test } from "@jest/globals";
import {
  priceUsage,
  tokensOnly,
  weekDays,
  type ModelPrice,
  type PricedUsage,
  type PriceGroup,
  type TokenClass,
  type TokenCounts,
} from "@codex/contracts";
import { propertyRuns } from "@codex/testkit";
import { divideHalfEven } from "@codex/kernel";
import fc from "fast-check";
import { checkCharge } from "./charge-check.ts";
import { askProblem, sizeLease } from "./lease-size.ts";
import { partitionShare } from "./partition-share.ts";
import { canonicalPrices, priceListProblems } from "./price-list.ts";
import { receiptOf } from "./receipt.ts";
import { fundingAccountOf, splitDebit } from "./spending-order.ts";

const money = fc.bigInt({ min: 0n, max: 10n ** 15n });
const classes = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<TokenClass, T>> =>
  fc.record({
    input: value,
    cachedInput: value,
    cacheWrite: value,
    cacheWrite1h: value,
    output: value,
    reasoning: value,
  });
const tokens: fc.Arbitrary<TokenCounts> = classes(fc.integer({ min: 0, max: 10 ** 7 }));
const rates = classes(fc.bigInt({ min: 0n, max: 10n ** 12n }));
const ppm = fc.nat(3_000_000);
const price: fc.Arbitrary<ModelPrice> = fc.record({
  model: fc.constant("m"),
  displayName: fc.constant("M"),
  contextTokens: fc.constant(100),
  outputTokensMax: fc.constant(10),
  rates,
  perRequest: fc.bigInt({ min: 0n, max: 10n ** 9n }),
  perImage: fc.array(fc.record({ variant: fc.constant("large"), microTokens: money }), { maxLength: 1 }),
  perAudioSecond: fc.bigInt({ min: 0n, max: 10n ** 9n }),
  tiers: fc.array(fc.record({ aboveInputTokens: fc.nat(10 ** 7), rates }), { maxLength: 1 }),
  offPeak: fc.array(
    fc.record({
      days: fc.constant([...weekDays]),
      fromUtc: fc.constant("08:00"),
      toUtc: fc.constant("20:00"),
      multiplierPpm: ppm,
    }),
    { maxLength: 1 },
  ),
});
const groups: fc.Arbitrary<PriceGroup[]> = fc.array(
  fc.record({ group: fc.constantFrom("vip", "default"), multiplierPpm: ppm }),
  { maxLength: 2 },
);
const usage: fc.Arbitrary<PricedUsage> = fc.record({
  tokens,
  images: fc.option(fc.record({ count: fc.nat(9), variant: fc.constantFrom("large", "small") })),
  audioMs: fc.nat(10 ** 6),
  startedAt: fc.constantFrom("2026-11-23T07:59:59.999Z", "2026-11-23T12:00:00.000Z"),
  priceGroup: fc.constantFrom("vip", "default", "stranger"),
});
const none: TokenCounts = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };
const plain: ModelPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 100,
  outputTokensMax: 10,
  rates: {
    input: 1_000_000n,
    cachedInput: 0n,
    cacheWrite: 0n,
    cacheWrite1h: 0n,
    output: 2_500_000n,
    reasoning: 0n,
  },
  perRequest: 7n,
  perImage: [],
  perAudioSecond: 0n,
  tiers: [],
  offPeak: [],
};

describe("spending order", () => {
  test("given bonus and paid, when a debit fits the bonus, then paid stays untouched", () => {
    expect(splitDebit({ paid: 10n, bonus: 5n }, 5n)).toEqual({ fromBonus: 5n, fromPaid: 0n });
    expect(splitDebit({ paid: 10n, bonus: 5n }, 6n)).toEqual({ fromBonus: 5n, fromPaid: 1n });
  });

  test("given any buckets, when any fitting amount is debited, then nothing is lost and paid moves only after bonus is empty", () => {
    fc.assert(
      fc.property(money, money, fc.bigInt({ min: 0n, max: 1_000n }), (paid, bonus, permille) => {
        const amount = ((paid + bonus) * permille) / 1_000n;
        const split = splitDebit({ paid, bonus }, amount);
        expect(split.fromBonus + split.fromPaid).toBe(amount);
        expect(split.fromBonus <= bonus && split.fromPaid <= paid).toBe(true);
        expect(split.fromPaid === 0n || split.fromBonus === bonus).toBe(true);
      }),
    );
  });

  test("given a debit beyond both buckets, when it is split, then it is a defect and not a negative bucket", () => {
    expect(() => splitDebit({ paid: 1n, bonus: 1n }, 3n)).toThrow("invariant");
  });

  test("given a credit, when it is booked, then bonus costs promo and paid money comes through payments", () => {
    expect([fundingAccountOf("bonus"), fundingAccountOf("paid")]).toEqual(["promo", "payments_clearing"]);
  });
});

describe("lease size", () => {
  test("given a rich account, when a worker asks, then it gets what it wants", () => {
    expect(sizeLease({ minimum: 10n, want: 500n, available: 10_000n, holders: 1n })).toBe(500n);
  });

  test("given a poor account, when a worker asks, then it gets exactly the hold of one request", () => {
    expect(sizeLease({ minimum: 80n, want: 500n, available: 100n, holders: 1n })).toBe(80n);
  });

  test("given less than the hold, when a worker asks, then it is refused", () => {
    expect(sizeLease({ minimum: 80n, want: 500n, available: 79n, holders: 1n })).toBeUndefined();
  });

  test("given any ask, when it is granted, then minimum ≤ grant ≤ available, and above the minimum at most the share of a half", () => {
    fc.assert(
      fc.property(money, money, money, fc.bigInt({ min: 1n, max: 100n }), (minimum, more, available, holders) => {
        const granted = sizeLease({ minimum, want: minimum + more, available, holders });
        if (granted === undefined) return available < minimum;
        return (
          granted >= minimum &&
          granted <= available &&
          granted <= minimum + more &&
          (granted === minimum || granted * 2n * holders <= available)
        );
      }),
    );
  });

  test("given nonsense bounds, when they are asked for, then they are named", () => {
    expect(askProblem({ minimum: -1n, want: 0n })).toBe("minimum_negative");
    expect(askProblem({ minimum: 2n, want: 1n })).toBe("want_below_minimum");
    expect(askProblem({ minimum: 0n, want: 0n })).toBeUndefined();
  });
});

describe("receipt", () => {
  test("given usage, when the receipt is written, then its lines are exact and only what was used is listed", () => {
    expect(receiptOf(plain, tokensOnly({ ...none, input: 3, output: 1 }), [])).toEqual({
      lines: [
        { class: "input", quantity: 3, rate: 1_000_000n, exact: "0.000003000000" },
        { class: "output", quantity: 1, rate: 2_500_000n, exact: "0.000002500000" },
        { class: "request", quantity: 1, rate: 7n, exact: "0.000007000000" },
      ],
      terms: { aboveInputTokens: null, offPeakPpm: 1_000_000, groupPpm: 1_000_000 },
      exact: "0.000012500000000000000000",
      // 3 + 2.5 + 7 = 12.5 → 12 (half to even)
      sum: 12n,
    });
  });

  test("given every kind of use and term, when the receipt is written, then each has its line and the terms are named", () => {
    const rich: ModelPrice = {
      ...plain,
      tiers: [{ aboveInputTokens: 10, rates: { ...plain.rates, input: 2_000_000n, cacheWrite1h: 4_000_000n } }],
      perImage: [{ variant: "large", microTokens: 40n }],
      perAudioSecond: 10n,
      offPeak: [{ days: ["mon"], fromUtc: "08:00", toUtc: "20:00", multiplierPpm: 500_000 }],
    };
    const used: PricedUsage = {
      tokens: { ...none, input: 10, cacheWrite1h: 1 },
      images: { count: 2, variant: "large" },
      audioMs: 1_500,
      startedAt: "2026-11-23T12:00:00.000Z",
      priceGroup: "vip",
    };
    expect(receiptOf(rich, used, [{ group: "vip", multiplierPpm: 900_000 }])).toEqual({
      lines: [
        { class: "input", quantity: 10, rate: 2_000_000n, exact: "0.000020000000" },
        { class: "cacheWrite1h", quantity: 1, rate: 4_000_000n, exact: "0.000004000000" },
        { class: "image", quantity: 2, rate: 40n, exact: "0.000080000000" },
        { class: "audio", quantity: 1_500, rate: 10n, exact: "0.000015000000" },
        { class: "request", quantity: 1, rate: 7n, exact: "0.000007000000" },
      ],
      terms: { aboveInputTokens: 10, offPeakPpm: 500_000, groupPpm: 900_000 },
      // (20 + 4 + 80 + 15 + 7) × 0.5 × 0.9 = 56.7
      exact: "0.000056700000000000000000",
      sum: 57n,
    });
  });

  test("given any price and usage, when the printed lines are added up, multiplied and rounded once, then the sum is the contract's charge", () => {
    fc.assert(
      fc.property(price, usage, groups, (model, used, book) => {
        const receipt = receiptOf(model, used, book);
        const digits = (text: string): bigint => BigInt(text.replace(".", ""));
        const lines = receipt.lines.reduce((sum, line) => sum + digits(line.exact), 0n);
        const exact = lines * BigInt(receipt.terms.offPeakPpm) * BigInt(receipt.terms.groupPpm);
        expect(digits(receipt.exact)).toBe(exact);
        expect(divideHalfEven(exact, 10n ** 18n)).toBe(priceUsage(model, used, book));
        expect(receipt.sum).toBe(priceUsage(model, used, book));
      }),
      { numRuns: propertyRuns(300) },
    );
  });
});

describe("charge check", () => {
  const used = tokensOnly({ ...none, input: 10 });

  test("given an honest charge, when it is computed again, then it agrees, also where the hold cut it", () => {
    expect(checkCharge(plain, [], { usage: used, hold: 100n, cost: 17n })).toEqual({
      cost: 17n,
      hold: 100n,
      mismatch: false,
    });
    expect(checkCharge(plain, [], { usage: used, hold: 12n, cost: 12n })).toEqual({
      cost: 12n,
      hold: 12n,
      mismatch: false,
    });
  });

  test("given a request that never reached an upstream, when it cost nothing, then it agrees", () => {
    expect(checkCharge(plain, [], { usage: tokensOnly(none), hold: 100n, cost: 0n }).mismatch).toBe(false);
  });

  test.each([
    ["too much", 18n, 100n, 18n],
    ["too little", 16n, 100n, 16n],
    ["nothing for used tokens", 0n, 100n, 0n],
    ["more than the hold", 17n, 12n, 12n],
    ["a negative cost", -5n, 100n, 0n],
    ["a negative hold", 17n, -1n, 0n],
  ])(
    "given %s, when it is computed again, then it is flagged and booked within [0, hold]",
    (_name, cost, hold, booked) => {
      const checked = checkCharge(plain, [], { usage: used, hold, cost });
      expect(checked.mismatch).toBe(true);
      expect(checked.cost).toBe(booked);
    },
  );
});

test("given a group that the book does not know, when the charge is checked, then it is booked as default and flagged", () => {
  const used = { ...tokensOnly({ ...none, input: 10 }), priceGroup: "stranger" };
  const checked = checkCharge(plain, [{ group: "vip", multiplierPpm: 1 }], { usage: used, hold: 100n, cost: 17n });
  expect(checked).toEqual({ cost: 17n, hold: 100n, mismatch: true });
});

test.each([
  ["a picture", { images: { count: 1, variant: "large" } }],
  ["sound", { audioMs: 1 }],
])("given %s that cost nothing, when the charge is checked, then it is flagged", (_name, more) => {
  const reported = { usage: { ...tokensOnly(none), ...more }, hold: 100n, cost: 0n };
  expect(checkCharge(plain, [], reported).mismatch).toBe(true);
});

describe("price list", () => {
  test("given a sound list, when it is checked, then nothing is wrong with it", () => {
    expect(priceListProblems([plain])).toEqual([]);
  });

  test("given an empty list, a name twice, a negative rate or an impossible answer, when it is checked, then each is named", () => {
    expect(priceListProblems([])).toHaveLength(1);
    expect(priceListProblems([plain, plain])).toEqual(["m: named twice"]);
    expect(priceListProblems([{ ...plain, rates: { ...plain.rates, output: -1n } }])[0]).toContain(
      "output is negative",
    );
    expect(priceListProblems([{ ...plain, perRequest: -1n }])[0]).toContain("perRequest is negative");
    expect(priceListProblems([{ ...plain, outputTokensMax: 101 }])[0]).toContain("outputTokensMax");
  });

  test("given new fields that are wrong, when they are checked, then each is named", () => {
    const window = { days: ["mon" as const, "mon" as const], fromUtc: "08:00", toUtc: "08:00", multiplierPpm: 1 };
    const image = { variant: "large", microTokens: 1n };
    const tier = { aboveInputTokens: 5, rates: { ...plain.rates, cacheWrite1h: -1n } };
    const wrong = { ...plain, perAudioSecond: -1n, perImage: [image, image], tiers: [tier, tier], offPeak: [window] };
    const group = { group: "vip", multiplierPpm: 1 };
    const text = priceListProblems([wrong], [group, group]).join();
    for (const part of [
      "group vip: named twice",
      "perAudioSecond is negative",
      "cacheWrite1h above 5 is negative",
      "perImage large is named twice",
      "tiers are not in ascending order",
      "begins when it ends",
      "names a day twice",
    ]) {
      expect(text).toContain(part);
    }
  });

  test("given any single change of a price, when lists are compared, then they differ", () => {
    const base = canonicalPrices([plain], []);
    const tier = { aboveInputTokens: 5, rates: plain.rates };
    const window = { days: ["mon" as const], fromUtc: "08:00", toUtc: "09:00", multiplierPpm: 1 };
    const changes: Partial<ModelPrice>[] = [
      ...Object.keys(plain.rates).map((name) => ({ rates: { ...plain.rates, [name]: 77n } })),
      { displayName: "N" },
      { contextTokens: 99 },
      { outputTokensMax: 9 },
      { perRequest: 8n },
      { perAudioSecond: 1n },
      { perImage: [{ variant: "large", microTokens: 1n }] },
      { tiers: [tier] },
      { tiers: [{ ...tier, rates: { ...tier.rates, cacheWrite1h: 1n } }] },
      { offPeak: [window] },
      { offPeak: [{ ...window, multiplierPpm: 2 }] },
    ];
    const texts = changes.map((change) => canonicalPrices([{ ...plain, ...change }], []));
    texts.push(canonicalPrices([plain], [{ group: "vip", multiplierPpm: 1 }]), base);
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("given the same prices in another order, when they are compared, then they are the same; one changed rate differs", () => {
    const other = { ...plain, model: "n" };
    expect(canonicalPrices([plain, other])).toBe(canonicalPrices([other, plain]));
    expect(canonicalPrices([{ ...plain, perRequest: 8n }])).not.toBe(canonicalPrices([plain]));
  });
});

test("given any number of replicas, when partitions are shared, then all of them have an owner", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 64 }), (replicas) => partitionShare(16, replicas) * replicas >= 16));
  expect(partitionShare(16, 2)).toBe(8);
});
