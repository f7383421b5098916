import type { SpoolRecord } from "@codex/contracts";
import { AppError, ManualClock, newId, type AccountId, type LeaseId, type MicroTokens } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noTokens } from "../domain/usage.ts";
import { Spool } from "../spool/spool.ts";
import type { GrantAnswer, GrantAsk, LenderPorts, Payer } from "./lease-ports.ts";
import { Lender, type Economies } from "./lender.ts";

const payer: Payer = { accountId: newId("acc"), keyId: newId("key"), caps: null, version: 1 };
const { accountId } = payer;
const payerOf = (of: AccountId): Payer => ({ ...payer, accountId: of });
type Ask = GrantAsk;
type Answer = GrantAnswer;

const unavailable = new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "away" });
const noEconomies: Economies = { tighten: () => Promise.resolve(undefined), shorten: () => undefined };

function granted(amount: MicroTokens, ttlMs = 60_000): Answer {
  return { ok: true, value: { leaseId: newId("lse"), granted: amount, ttlMs, priceGroup: "default" } };
}

function refused(available: MicroTokens, held = 0n): Answer {
  return { ok: false, code: "insufficient_balance", message: "too little", refusal: { available, held } };
}

function setUp(grant: (ask: Ask, askNo: number) => Answer | Promise<Answer>, ports: Partial<LenderPorts> = {}) {
  const clock = new ManualClock();
  const asks: Ask[] = [];
  const open = new Set<LeaseId>();
  const log: string[] = [];
  const returned: MicroTokens[] = [];
  let running = 0;
  let runningMax = 0;
  const lender = new Lender({
    async grant(ask) {
      asks.push(ask);
      log.push("ask");
      running += 1;
      runningMax = Math.max(runningMax, running);
      try {
        return await grant(ask, asks.length);
      } finally {
        running -= 1;
      }
    },
    asked(requestNo) {
      log.push(`journal ${String(requestNo)}`);
    },
    refused(requestNo) {
      log.push(`refused ${String(requestNo)}`);
    },
    leaseGranted(leaseId) {
      open.add(leaseId);
    },
    leaseClosed(leaseId) {
      open.delete(leaseId);
      log.push("close");
    },
    giveBack(_of, leases) {
      returned.push(...leases.map(({ ceiling }) => ceiling));
      return Promise.resolve();
    },
    clock,
    ...ports,
  });
  const admit = (amount: MicroTokens, economies = noEconomies, of = payer) =>
    lender.admit(of, { amount, outputTokens: 10 }, economies);
  return { lender, admit, clock, asks, open, log, returned, runningMax: () => runningMax };
}

async function errorOf(work: Promise<unknown>): Promise<AppError> {
  const error: unknown = await work.then(
    () => new Error("was admitted"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error;
  throw error;
}

const aMoment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

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

describe("money that somebody else needs", () => {
  test("given a recall, then what nothing uses goes back at once, what runs keeps its hold, and idle leases are closed", async () => {
    const { lender, admit, open, returned } = setUp(({ minimum }) => granted(minimum * 4n));
    const { ticket } = await admit(10n);
    const other = await admit(40n);
    lender.settle(other.ticket, 15n);
    lender.recall(accountId);
    expect(returned.toSorted()).toEqual([10n, 15n]);
    expect([...open]).toEqual([ticket.lease.leaseId]);
    lender.recall(newId("acc"));
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
    lender.recall(accountId);
    await aMoment();
    away = false;
    lender.recall(accountId);
    await aMoment();
    lender.recall(accountId);
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
    lender.recall(accountId);
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
});

describe("closing leases", () => {
  test("given a lease is used up, then it is closed with the settling of its last request, not while one runs", async () => {
    const { lender, admit, open } = setUp(({ minimum }) => granted(minimum * 2n));
    const [first, second] = [await admit(10n), await admit(10n)];
    lender.settle(first.ticket, 10n);
    expect(open.size).toBe(1);
    lender.settle(second.ticket, 10n);
    expect(open.size).toBe(0);
  });

  test("given an expired lease, then it admits nobody, and is closed when its running request has ended", async () => {
    const { lender, admit, clock, open, asks } = setUp(({ want }) => granted(want));
    const { ticket } = await admit(10n);
    clock.advance(60_000);
    lender.sweep();
    expect(open.size).toBe(1);
    await admit(10n);
    expect(asks).toHaveLength(2);
    lender.settle(ticket, 3n);
    expect(open.size).toBe(1);
    expect(open.has(ticket.lease.leaseId)).toBe(false);
  });

  test("given a worker that ends, then what is idle is closed, and what runs is counted", async () => {
    const { lender, admit, open } = setUp(({ minimum }) => granted(minimum));
    const { ticket } = await admit(10n);
    const idle = await admit(20n);
    lender.settle(idle.ticket, 1n);
    expect(lender.closeAll()).toBe(1);
    expect([...open]).toEqual([ticket.lease.leaseId]);
  });

  test("given a real spool, then the closing of a lease comes after the usage on it, with the sum of its charges", async () => {
    const directory = mkdtempSync(join(tmpdir(), "lender-"));
    const records: SpoolRecord[] = [];
    const spool = new Spool({
      directory,
      workerId: "w",
      epoch: 1,
      segmentBytes: 1_000_000,
      bytesMax: 1_000_000,
      reserveBytes: 0,
      onRecord: (record) => records.push(record),
      onFault: (error) => {
        throw error;
      },
    });
    const { lender, admit } = setUp(({ minimum }) => granted(minimum), {
      leaseGranted: (leaseId, of, requestNo) => spool.leaseGranted(leaseId, of, requestNo),
      leaseClosed: (leaseId, of) => void spool.leaseClosed(leaseId, of),
    });
    for (let index = 0; index < 3; index += 1) {
      const { ticket } = await admit(10n);
      spool.requestClosed(usageOn(ticket.lease.leaseId));
      lender.settle(ticket, 7n);
      lender.closeAll();
    }
    await spool.synced();
    expect(records.map(({ type, seq }) => [type, seq])).toEqual([
      ["usage", 1],
      ["lease_close", 2],
      ["usage", 3],
      ["lease_close", 4],
      ["usage", 5],
      ["lease_close", 6],
    ]);
    for (const record of records) if (record.type === "lease_close") expect(record.settledMicroTokens).toBe(7n);
    await spool.close(true);
    rmSync(directory, { recursive: true });
  });
});

function usageOn(leaseId: LeaseId): Parameters<Spool["requestClosed"]>[0] {
  return {
    requestId: newId("req"),
    accountId,
    keyId: newId("key"),
    leaseId,
    route: "/v1/chat/completions",
    model: "m",
    channel: "c",
    status: "ok",
    httpStatus: 200,
    errorCode: null,
    streamed: false,
    tokens: noTokens,
    images: null,
    audioMs: 0,
    estimated: false,
    priceVersion: newId("prc"),
    priceGroup: "default",
    holdMicroTokens: 10n,
    costMicroTokens: 7n,
    startedAt: "2026-11-23T12:00:00.000Z",
    firstByteMs: 1,
    durationMs: 2,
  };
}
