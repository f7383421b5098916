import { type MicroTokens } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { payer, noEconomies, granted, refused, setUp, errorOf, aMoment } from "../../tests/_lender.ts";
import type { Payer } from "./lease-ports.ts";

describe("a balance that is not enough", () => {
  test("given 100 wait and billing refuses, then one ask answers all who had come before it", async () => {
    const { admit, asks } = setUp(async () => {
      await aMoment();
      return refused(5n, 30n);
    });
    const errors = await Promise.all(Array.from({ length: 100 }, () => errorOf(admit(10n))));
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(["credit_balance_exhausted"]));
    expect(asks.length).toBeLessThanOrEqual(2);
    // Who comes after the refusal asks anew.
    await errorOf(admit(10n));
    expect(asks.length).toBeLessThanOrEqual(3);
  });

  test("given a key with caps, then its leases are its own, and a refusal names the cap and when it resets", async () => {
    const capped: Payer = { ...payer, caps: { daily: 100n, monthly: null, total: null } };
    const resetsAt = new Date("2026-11-26T00:00:00.000Z");
    const { admit, asks } = setUp((ask, askNo) => {
      if (askNo !== 3) return granted(ask.want);
      const refusal = { available: 5n, held: 10n, cap: { period: "day" as const, amount: 100n, resetsAt } };
      return { ok: false, code: "key_cap_reached", message: "cap", refusal };
    });
    await admit(10n);
    await admit(10n, noEconomies, capped);
    expect(asks.map(({ cap }) => cap)).toEqual([null, { keyId: payer.keyId, daily: 100n, monthly: null, total: null }]);
    const error = await errorOf(admit(1_000n, noEconomies, capped));
    expect(error).toMatchObject({ kind: "quota", code: "key_limit_exhausted" });
    expect(error.metadata).toMatchObject({ cap: "daily", limit: "0.000100", resets_at: resetsAt.toISOString() });
    expect(error.publicMessage).toContain("daily cap");
  });

  test("given a key's caps change, then what its leases have free under the old ones goes back first", async () => {
    const capped: Payer = { ...payer, caps: { daily: 100n, monthly: null, total: null } };
    const { admit, asks, returned } = setUp(({ want }) => granted(want));
    await admit(10n, noEconomies, capped);
    const changed: Payer = { ...capped, caps: { daily: 50n, monthly: null, total: null }, version: 2 };
    await admit(10n, noEconomies, changed);
    expect(returned).toEqual([10n]);
    expect(asks.at(-1)?.cap).toMatchObject({ daily: 50n });
  });

  test("given a tighter hold that fits, then it is used, and the answer is not shortened", async () => {
    let shortened = 0;
    const { admit, asks } = setUp(({ minimum }) => (minimum > 50n ? refused(50n) : granted(minimum)));
    const { ticket, hold } = await admit(100n, {
      tighten: () => Promise.resolve({ amount: 40n, outputTokens: 10 }),
      shorten: () => {
        shortened += 1;
        return { amount: 50n, outputTokens: 5 };
      },
    });
    expect([ticket.hold, hold.outputTokens, shortened]).toEqual([40n, 10, 0]);
    expect(asks.at(-1)).toMatchObject({ minimum: 40n, want: 40n });
  });

  test("given a tighter hold that does not fit either, then the answer is shortened to what is available", async () => {
    const asked: MicroTokens[] = [];
    const { admit } = setUp(({ minimum }) => (minimum > 50n ? refused(50n) : granted(minimum)));
    const { ticket, hold } = await admit(100n, {
      tighten: () => Promise.resolve({ amount: 60n, outputTokens: 10 }),
      shorten: (available) => {
        asked.push(available);
        return { amount: 49n, outputTokens: 5 };
      },
    });
    expect([ticket.hold, hold.outputTokens, asked]).toEqual([49n, 5, [50n]]);
  });

  test("given nothing fits, then 402 says what is needed, available, held and missing", async () => {
    const { admit } = setUp(() => refused(1_500_000n, 250_000n));
    const error = await errorOf(
      admit(9_000_000n, { ...noEconomies, tighten: () => Promise.resolve({ amount: 4_000_000n, outputTokens: 10 }) }),
    );
    expect(error).toMatchObject({ kind: "quota", code: "credit_balance_exhausted" });
    expect(error.metadata).toEqual({
      limit_source: "balance",
      needed: "4.000000",
      available: "1.500000",
      held: "0.250000",
      currency: "token",
    });
    expect(error.publicMessage).toContain("Top up by 2.500000");
  });

  test("given the account is frozen, then 403, and nothing cheaper is tried", async () => {
    const { admit, asks } = setUp(() => ({ ok: false, code: "account_frozen", message: "frozen" }));
    const error = await errorOf(admit(10n));
    expect(error).toMatchObject({ kind: "forbidden", code: "account_frozen" });
    expect(asks).toHaveLength(1);
  });
});
