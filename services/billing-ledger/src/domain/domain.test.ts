import { describe, expect, test } from "@jest/globals";
import { priceUsage, type ModelPrice, type TokenClass, type TokenCounts } from "@codex/contracts";
import fc from "fast-check";
import { checkCharge } from "./charge-check.ts";
import { askProblem, sizeLease } from "./lease-size.ts";
import { partitionShare } from "./partition-share.ts";
import { canonicalPrices, priceListProblems } from "./price-list.ts";
import { receiptOf } from "./receipt.ts";
import { fundingAccountOf, splitDebit } from "./spending-order.ts";

const money = fc.bigInt({ min: 0n, max: 10n ** 15n });
const classes = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<TokenClass, T>> =>
  fc.record({ input: value, cachedInput: value, cacheWrite: value, output: value, reasoning: value });
const tokens: fc.Arbitrary<TokenCounts> = classes(fc.integer({ min: 0, max: 10 ** 7 }));
const price: fc.Arbitrary<ModelPrice> = fc.record({
  model: fc.constant("m"),
  displayName: fc.constant("M"),
  contextTokens: fc.constant(100),
  outputTokensMax: fc.constant(10),
  rates: classes(fc.bigInt({ min: 0n, max: 10n ** 12n })),
  perRequest: fc.bigInt({ min: 0n, max: 10n ** 9n }),
});
const none: TokenCounts = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 };
const plain: ModelPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 100,
  outputTokensMax: 10,
  rates: { input: 1_000_000n, cachedInput: 0n, cacheWrite: 0n, output: 2_500_000n, reasoning: 0n },
  perRequest: 7n,
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
    expect(receiptOf(plain, { ...none, input: 3, output: 1 })).toEqual({
      lines: [
        { class: "input", quantity: 3, rate: 1_000_000n, exact: "0.000003000000" },
        { class: "output", quantity: 1, rate: 2_500_000n, exact: "0.000002500000" },
        { class: "request", quantity: 1, rate: 7n, exact: "0.000007000000" },
      ],
      // 3 + 2.5 = 5.5 → 6 (half to even), + 7
      sum: 13n,
    });
  });

  test("given any price and usage, when the lines are added up exactly and rounded once, then the sum is the contract's charge", () => {
    fc.assert(
      fc.property(price, tokens, (model, used) => {
        const receipt = receiptOf(model, used);
        const exact = receipt.lines.reduce((sum, line) => sum + BigInt(line.exact.replace(".", "")), 0n);
        expect(receipt.sum).toBe(priceUsage(model, used));
        expect(exact - receipt.sum * 1_000_000n).toBeLessThanOrEqual(500_000n);
        expect(receipt.sum * 1_000_000n - exact).toBeLessThanOrEqual(500_000n);
      }),
    );
  });
});

describe("charge check", () => {
  const used = { ...none, input: 10 };

  test("given an honest charge, when it is computed again, then it agrees, also where the hold cut it", () => {
    expect(checkCharge(plain, { tokens: used, hold: 100n, cost: 17n })).toEqual({
      cost: 17n,
      hold: 100n,
      mismatch: false,
    });
    expect(checkCharge(plain, { tokens: used, hold: 12n, cost: 12n })).toEqual({
      cost: 12n,
      hold: 12n,
      mismatch: false,
    });
  });

  test("given a request that never reached an upstream, when it cost nothing, then it agrees", () => {
    expect(checkCharge(plain, { tokens: none, hold: 100n, cost: 0n }).mismatch).toBe(false);
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
      const checked = checkCharge(plain, { tokens: used, hold, cost });
      expect(checked.mismatch).toBe(true);
      expect(checked.cost).toBe(booked);
    },
  );
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
