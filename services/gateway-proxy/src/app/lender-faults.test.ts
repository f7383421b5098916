import { type LeaseId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { unavailable, granted, refused, setUp, errorOf, aMoment } from "../../tests/_lender.ts";

describe("a grant that goes wrong", () => {
  test("given the lease expires between grant and admission, then 503, and the lease is closed, not leaked", async () => {
    const { lender, admit, clock, open } = setUp(({ want }) => {
      clock.advance(60_001);
      return granted(want);
    });
    const error = await errorOf(admit(10n));
    expect(error).toMatchObject({ kind: "unavailable", retryAfterSeconds: 1 });
    expect(open.size).toBe(1);
    lender.sweep();
    expect(open.size).toBe(0);
    expect(lender.closeAll()).toBe(0);
  });

  test("given billing does not answer, then 503; the next ask has the same number, for the grant may have been made", async () => {
    const { admit, asks } = setUp(({ want }, askNo) => {
      if (askNo === 1) throw unavailable;
      return granted(want);
    });
    expect(await errorOf(admit(10n))).toBe(unavailable);
    await admit(10n);
    await admit(1_000n);
    expect(asks.slice(0, 3).map(({ requestNo }) => requestNo)).toEqual([1, 1, 2]);
  });

  test("given billing does not answer and a hundred wait in line, then all hear it of one ask, and who comes later asks again", async () => {
    const silence = Promise.withResolvers<never>();
    const { admit, asks } = setUp(({ want }, askNo) => (askNo <= 2 ? silence.promise : granted(want)));
    const first = errorOf(admit(10n));
    await aMoment();
    // The first ask is on its way already: theirs is the one after it.
    const waiting = Array.from({ length: 100 }, () => errorOf(admit(10n)));
    await aMoment();
    silence.reject(unavailable);
    expect(new Set([await first, ...(await Promise.all(waiting))])).toEqual(new Set([unavailable]));
    expect(asks).toHaveLength(2);
    await admit(10n);
    expect(asks).toHaveLength(3);
  });

  test("given an ask, then it is in the journal before it is sent, and its refusal is too", async () => {
    const { admit, log } = setUp(() => refused(0n));
    await errorOf(admit(10n));
    expect(log).toEqual(["journal 1", "ask", "refused 1"]);
  });

  test("given the disk refuses the ask, then billing is not asked", async () => {
    const { admit, asks } = setUp(({ want }) => granted(want), {
      asked() {
        throw new Error("ENOSPC");
      },
    });
    await expect(admit(10n)).rejects.toThrow("ENOSPC");
    expect(asks).toEqual([]);
  });

  test("given the lost lease that comes to light is too small, then a new one is asked for", async () => {
    const { admit, asks } = setUp(({ want }, askNo) => {
      if (askNo === 1) throw unavailable;
      return granted(askNo === 2 ? 10n : want);
    });
    await errorOf(admit(10n));
    await admit(500n);
    expect(asks.map(({ requestNo }) => requestNo)).toEqual([1, 1, 2]);
  });

  test("given an account that does not come back after a lost answer, then its lease is asked after and closed", async () => {
    const { lender, admit, asks, clock, log } = setUp((_ask, askNo) => {
      if (askNo <= 2) throw unavailable;
      return granted(200n);
    });
    await errorOf(admit(10n));
    lender.sweep();
    await aMoment();
    expect(asks).toHaveLength(1);
    for (let round = 0; round < 3; round += 1) {
      clock.advance(6_000);
      lender.sweep();
      await aMoment();
    }
    expect(asks.slice(1).map(({ requestNo, minimum, want }) => [requestNo, minimum, want])).toEqual([
      [1, 0n, 0n],
      [1, 0n, 0n],
    ]);
    expect(log.at(-1)).toBe("close");
    expect(lender.closeAll()).toBe(0);
  });

  test("given the disk refuses the lease, then the request is refused and the lease given back", async () => {
    const closed: LeaseId[] = [];
    const { lender, admit } = setUp(({ want }) => granted(want), {
      leaseGranted() {
        throw new Error("ENOSPC");
      },
      leaseClosed: (leaseId) => closed.push(leaseId),
    });
    await expect(admit(10n)).rejects.toThrow("ENOSPC");
    expect(closed).toHaveLength(1);
    expect(lender.closeAll()).toBe(0);
    expect(closed).toHaveLength(1);
  });
});
