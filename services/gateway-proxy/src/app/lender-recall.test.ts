import { newId, type MicroTokens } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { accountId, type Answer, unavailable, granted, setUp, aMoment } from "../../tests/_lender.ts";

describe("money that somebody else needs", () => {
  test("given a recall, then what nothing uses goes back at once, what runs keeps its hold, and idle leases are closed", async () => {
    const { lender, admit, open, returned } = setUp(({ minimum }) => granted(minimum * 4n));
    const { ticket } = await admit(10n);
    const other = await admit(40n);
    lender.settle(other.ticket, 15n);
    await lender.recall(accountId);
    expect(returned.toSorted()).toEqual([10n, 15n]);
    expect([...open]).toEqual([ticket.lease.leaseId]);
    await lender.recall(newId("acc"));
    expect(returned).toHaveLength(2);
    lender.settle(ticket, 10n);
    expect(open.size).toBe(0);
  });

  test("given a lease was closed a moment ago, then a recall names it, until billing has confirmed", async () => {
    let away = true;
    const returned: MicroTokens[] = [];
    const { lender, admit, clock } = setUp(({ minimum }) => granted(minimum * 4n), {
      giveBack: (_of, leases) => {
        if (away) return Promise.reject(unavailable);
        returned.push(...leases.map(({ ceiling }) => ceiling));
        return Promise.resolve();
      },
    });
    const { ticket } = await admit(10n);
    lender.settle(ticket, 3n);
    lender.closeAll();
    await lender.recall(accountId);
    await aMoment();
    away = false;
    await lender.recall(accountId);
    await aMoment();
    await lender.recall(accountId);
    expect(returned).toEqual([3n]);
    clock.advance(10_000);
    lender.sweep();
  });

  test("given a recall while a renewal is on its way, then the renewed lease goes back as well", async () => {
    const answers: ((answer: Answer) => void)[] = [];
    const { lender, admit, returned, open } = setUp((_ask, askNo) =>
      askNo === 1 ? granted(20n) : new Promise((resolve) => answers.push(resolve)),
    );
    await admit(10n);
    await admit(10n);
    await aMoment();
    expect(answers).toHaveLength(1);
    await lender.recall(accountId);
    answers[0]?.(granted(80n));
    await aMoment();
    expect(returned).toEqual([0n]);
    expect(open.size).toBe(1);
  });

  test("given a lease that nobody uses for a while, then it is closed long before it expires", async () => {
    const { lender, admit, clock, open } = setUp(({ minimum }) => granted(minimum * 4n));
    const { ticket } = await admit(10n);
    lender.settle(ticket, 1n);
    clock.advance(10_000);
    lender.sweep();
    expect(open.size).toBe(1);
    clock.advance(6_000);
    lender.sweep();
    expect(open.size).toBe(0);
  });

  test("given a recall, then it is answered when billing has what it brought, and not at all without leases of the account", async () => {
    let arrived = (): void => undefined;
    const { lender, admit } = setUp(({ minimum }) => granted(minimum * 4n), {
      giveBack: () => new Promise((resolve) => (arrived = resolve)),
    });
    expect(await lender.recall(accountId)).toBe(false);
    const { ticket } = await admit(10n);
    let answer: boolean | undefined;
    const answered = lender.recall(accountId).then((isHolder) => (answer = isHolder));
    await aMoment();
    expect(answer).toBeUndefined();
    arrived();
    await answered;
    expect(answer).toBe(true);
    // Spent to its end and closed: nothing of it could come back.
    lender.settle(ticket, 10n);
    expect(await lender.recall(accountId)).toBe(false);
  });
});
