import { newId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { payerOf, type Answer, noEconomies, granted, setUp, aMoment } from "../../tests/_lender.ts";

describe("asking for leases", () => {
  test("given a burst of 100, then one grant is asked for at a time, and far fewer than 100 in all", async () => {
    const { admit, asks, runningMax } = setUp(async ({ want }) => {
      await aMoment();
      return granted(want);
    });
    const admissions = await Promise.all(Array.from({ length: 100 }, () => admit(10n)));
    expect(admissions).toHaveLength(100);
    expect(runningMax()).toBe(1);
    // The first ask begins when the first request comes, and is for the whole line by the time that it is sent.
    expect(asks).toHaveLength(1);
    expect(asks[0]).toMatchObject({ requestNo: 1, minimum: 10n, want: 1_000n });
  });

  test("given a burst whose grants cover one request each, then all are admitted: nobody takes another's room", async () => {
    const { admit, asks } = setUp(async ({ minimum }) => {
      await aMoment();
      return granted(minimum);
    });
    expect(await Promise.all(Array.from({ length: 20 }, () => admit(10n)))).toHaveLength(20);
    expect(asks).toHaveLength(20);
  });

  test("given two accounts, then they do not wait for each other", async () => {
    const { admit, runningMax } = setUp(async ({ want }) => {
      await aMoment();
      return granted(want);
    });
    await Promise.all([admit(10n), admit(10n, noEconomies, payerOf(newId("acc")))]);
    expect(runningMax()).toBe(2);
  });

  test("given room on a lease, then nobody is asked; when the room ends, a successor is asked for in the background", async () => {
    const { admit, asks } = setUp(({ want }) => granted(want));
    await admit(10n);
    await admit(10n);
    expect(asks.map(({ minimum, want }) => [minimum, want])).toEqual([[10n, 40n]]);
    await admit(20n);
    await aMoment();
    // No room for another one like it: the renewal takes what there is, so its minimum is nothing.
    expect(asks.slice(1).map(({ minimum, want }) => [minimum, want])).toEqual([[0n, 80n]]);
    await admit(20n);
    expect(asks).toHaveLength(2);
  });

  test("given an account that spends, then it asks for half as much again as it spent in the last minute", async () => {
    const { lender, admit, asks, clock } = setUp(({ want }) => granted(want));
    for (let second = 0; second < 120; second += 1) {
      const { ticket } = await admit(10n);
      lender.settle(ticket, 10n);
      clock.advance(1_000);
      await aMoment();
    }
    const last = asks.at(-1)?.want ?? 0n;
    // At 10 a second: 600 a minute, 900 with the half on top. Leases last a minute, so there are few asks.
    expect(last).toBeGreaterThan(700n);
    expect(last).toBeLessThan(1_000n);
    expect(asks.length).toBeLessThan(12);
  });

  test("given a lease near its end, then a successor is asked for, once, and no request waits for it", async () => {
    const answers: ((answer: Answer) => void)[] = [];
    const { admit, asks, clock } = setUp((_ask, askNo) =>
      askNo === 1 ? granted(1_000n) : new Promise((resolve) => answers.push(resolve)),
    );
    await admit(10n);
    clock.advance(44_000);
    await admit(10n);
    await aMoment();
    expect(asks).toHaveLength(1);
    clock.advance(2_000);
    await Promise.all([admit(10n), admit(10n), admit(10n)]);
    await aMoment();
    expect(asks).toHaveLength(2);
    answers[0]?.(granted(1_000n));
    await aMoment();
    clock.advance(20_000);
    await admit(10n);
    expect(asks).toHaveLength(2);
  });
});
