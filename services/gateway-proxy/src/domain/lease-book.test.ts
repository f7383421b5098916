import { newId, type AccountId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { LeaseBook } from "./lease-book.ts";

const account: AccountId = newId("acc");
const lease = (granted: bigint, expiresAtMs = 1_000) => ({
  leaseId: newId("lse"),
  accountId: account,
  purse: account,
  priceGroup: "default",
  granted,
  expiresAtMs,
  renewAtMs: expiresAtMs,
});

test("a request is let in exactly when a live lease has room", () => {
  const book = new LeaseBook();
  expect(book.admit(account, 1n, 0)).toBeUndefined();
  book.add(lease(100n), 0);
  expect(book.admit(account, 101n, 0)).toBeUndefined();
  expect(book.admit(account, 60n, 0)).toBeDefined();
  expect(book.admit(account, 41n, 0)).toBeUndefined();
  expect(book.admit(account, 40n, 0)).toBeDefined();
  expect(book.admit(account, 0n, 1_000)).toBeUndefined();
  expect(book.admit(newId("acc"), 1n, 0)).toBeUndefined();
});

test("the hold comes back, the charge does not", () => {
  const book = new LeaseBook();
  book.add(lease(100n), 0);
  const ticket = book.admit(account, 80n, 0)!;
  book.settle(ticket, 30n);
  expect(book.freeOf(account, 0)).toBe(70n);
});

test("a charge outside the hold is a defect", () => {
  const book = new LeaseBook();
  book.add(lease(100n), 0);
  const ticket = book.admit(account, 10n, 0)!;
  expect(() => book.settle(ticket, 11n)).toThrow(RangeError);
  expect(() => book.settle(ticket, -1n)).toThrow(RangeError);
});

test("a lease is closed when it is expired or used up, and never while a request runs on it", () => {
  const book = new LeaseBook();
  book.add(lease(100n), 0);
  const ticket = book.admit(account, 100n, 0)!;
  expect(book.takeFinished(2_000)).toEqual([]);
  book.settle(ticket, 100n);
  expect(book.takeFinished(0)).toHaveLength(1);
  expect(book.size).toBe(0);
});

test("idle leases of one account can be given back, others stay", () => {
  const book = new LeaseBook();
  book.add(lease(100n), 0);
  const stranger = newId("acc");
  book.add({ ...lease(5n), accountId: stranger, purse: stranger }, 0);
  book.add(lease(100n), 0);
  book.admit(account, 50n, 0);
  expect(book.takeIdle(account)).toHaveLength(1);
  expect(book.size).toBe(2);
});

test("for any order of admissions and endings, held + spent never exceeds what was granted", () => {
  const step = fc.record({
    hold: fc.bigInt({ min: 0n, max: 50n }),
    part: fc.integer({ min: 0, max: 100 }),
    end: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const book = new LeaseBook();
      book.add(lease(300n), 0);
      const running = [];
      let spent = 0n;
      let held = 0n;
      for (const { hold, part, end } of steps) {
        const ticket = book.admit(account, hold, 0);
        if (ticket) {
          running.push(ticket);
          held += hold;
        }
        const oldest = end ? running.shift() : undefined;
        if (oldest) {
          const cost = (oldest.hold * BigInt(part)) / 100n;
          book.settle(oldest, cost);
          held -= oldest.hold;
          spent += cost;
        }
        expect(held + spent).toBeLessThanOrEqual(300n);
        expect(book.freeOf(account, 0)).toBe(300n - held - spent);
      }
    }),
  );
});

test("the end of a request closes finished leases of its own account only", () => {
  const book = new LeaseBook();
  const other = newId("acc");
  book.add(lease(100n), 0);
  book.add({ ...lease(100n), accountId: other, purse: other }, 0);
  expect(book.takeFinishedOf(account, 999)).toEqual([]);
  expect(book.takeFinishedOf(account, 1_000).map((taken) => taken.accountId)).toEqual([account]);
  expect(book.size).toBe(1);
  expect(book.takeFinished(1_000).map((taken) => taken.accountId)).toEqual([other]);
});

test("what is given back is no longer there to admit on, and a running request keeps its hold", () => {
  const book = new LeaseBook();
  book.add(lease(100n), 0);
  const ticket = book.admit(account, 30n, 0)!;
  expect(book.giveBack(account)).toMatchObject([{ ceiling: 30n }]);
  expect(book.admit(account, 1n, 0)).toBeUndefined();
  book.settle(ticket, 30n);
  expect(book.takeFinishedOf(account, 0)).toHaveLength(1);
});

test("leases of a capped key serve that key alone, and go back with its account's", () => {
  const book = new LeaseBook();
  const key = newId("key");
  book.add({ ...lease(50n), purse: key }, 0);
  book.add(lease(20n), 0);
  expect(book.admit(account, 30n, 0)).toBeUndefined();
  expect(book.admit(key, 30n, 0)).toBeDefined();
  expect(book.giveBack(account).map(({ ceiling }) => ceiling)).toEqual([30n, 0n]);
});

test("the group of an account is what its newest lease says, whichever purse it is for; nothing without a lease", () => {
  const book = new LeaseBook();
  expect(book.priceGroupOf(account)).toBeUndefined();
  book.add({ ...lease(1n, 1_000), priceGroup: "old" }, 0);
  book.add({ ...lease(1n, 2_000), purse: newId("key"), priceGroup: "new" }, 0);
  expect(book.priceGroupOf(account)).toBe("new");
});
