import { ManualClock, newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { AccountTotalsCache, type AccountTotals } from "./account-totals.ts";

const totals: AccountTotals = { credited: 3n, spent: 1n };

test("one question an account in five seconds, shared by those who ask at once", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const cache = new AccountTotalsCache(async () => {
    asked += 1;
    return totals;
  }, clock);
  const [one, other] = [newId("acc"), newId("acc")];
  expect(await Promise.all([cache.of(one), cache.of(one), cache.of(other)])).toEqual([totals, totals, totals]);
  expect(asked).toBe(2);
  clock.advance(4_999);
  await cache.of(one);
  expect(asked).toBe(2);
  clock.advance(1);
  await cache.of(one);
  expect(asked).toBe(3);
});

test("a question that failed, or that billing cannot answer yet, is asked again", async () => {
  const answers = [Promise.reject(new Error("away")), Promise.resolve(undefined), Promise.resolve(totals)];
  const cache = new AccountTotalsCache(() => answers.shift()!, new ManualClock());
  const account = newId("acc");
  await expect(cache.of(account)).rejects.toThrow("away");
  expect(await cache.of(account)).toBeUndefined();
  expect(await cache.of(account)).toBe(totals);
});

test("ten thousand accounts are remembered, and the oldest question makes room", async () => {
  let asked = 0;
  const cache = new AccountTotalsCache(async () => {
    asked += 1;
    return totals;
  }, new ManualClock());
  const accounts = Array.from({ length: 10_001 }, () => newId("acc"));
  for (const account of accounts) await cache.of(account);
  await cache.of(accounts.at(-1)!);
  expect(asked).toBe(10_001);
  await cache.of(accounts[0]!);
  expect(asked).toBe(10_002);
});
