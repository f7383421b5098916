import type { SpoolRecord } from "@codex/contracts";
import { AppError, ManualClock, newId, type AccountId, type LeaseId, type MicroTokens } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noTokens } from "../domain/usage.ts";
import { Spool } from "../spool/spool.ts";
import { Lender, type Economies, type LenderPorts } from "./lender.ts";

const accountId: AccountId = newId("acc");
type Ask = Parameters<LenderPorts["grant"]>[0];
type Answer = Awaited<ReturnType<LenderPorts["grant"]>>;

const unavailable = new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "away" });
const noEconomies: Economies = { tighten: () => Promise.resolve(undefined), shorten: () => undefined };

function granted(amount: MicroTokens, ttlMs = 60_000): Answer {
  return { ok: true, value: { leaseId: newId("lse"), granted: amount, ttlMs } };
}

function refused(available: MicroTokens, held = 0n): Answer {
  return { ok: false, code: "insufficient_balance", message: "too little", refusal: { available, held } };
}

function setUp(grant: (ask: Ask, askNo: number) => Answer | Promise<Answer>, ports: Partial<LenderPorts> = {}) {
  const clock = new ManualClock();
  const asks: Ask[] = [];
  const open = new Set<LeaseId>();
  const log: string[] = [];
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
    leaseGranted(leaseId) {
      open.add(leaseId);
    },
    leaseClosed(leaseId) {
      open.delete(leaseId);
      log.push("close");
    },
    settled() {
      log.push("settled");
      return Promise.resolve();
    },
    clock,
    ...ports,
  });
  const admit = (amount: MicroTokens, economies = noEconomies, of = accountId) =>
    lender.admit(of, { amount, outputTokens: 10 }, economies);
  return { lender, admit, clock, asks, open, log, runningMax: () => runningMax };
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
    expect(asks).toHaveLength(5);
    expect(asks.map(({ requestNo }) => requestNo)).toEqual([1, 2, 3, 4, 5]);
    const holds = new Map<string, bigint>();
    for (const { ticket } of admissions) {
      holds.set(ticket.lease.leaseId, (holds.get(ticket.lease.leaseId) ?? 0n) + ticket.hold);
    }
    for (const held of holds.values()) expect(held).toBeLessThanOrEqual(200n);
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
    await Promise.all([admit(10n), admit(10n, noEconomies, newId("acc"))]);
    expect(runningMax()).toBe(2);
  });

  test("given room on a lease, then nobody is asked", async () => {
    const { admit, asks } = setUp(({ want }) => granted(want));
    await admit(10n);
    await admit(190n);
    expect(asks).toHaveLength(1);
    await admit(1n);
    expect(asks).toHaveLength(2);
  });
});

describe("a balance that is not enough", () => {
  test("given idle leases here, then they are given back, their booking awaited, and the ask repeated before any 402", async () => {
    const { lender, admit, log, asks } = setUp((_ask, askNo) => (askNo === 2 ? refused(0n, 200n) : granted(200n)));
    const first = await admit(10n);
    lender.settle(first.ticket, 5n);
    log.length = 0;
    await admit(200n);
    expect(log).toEqual(["ask", "close", "settled", "ask"]);
    // The first grant asks for several requests, the last one for what is needed.
    expect(asks.map(({ minimum, want }) => [minimum, want])).toEqual([
      [10n, 200n],
      [200n, 4_000n],
      [200n, 200n],
    ]);
  });

  test("given a lease of it was closed a moment ago, then its booking is awaited too; given long ago, it is not", async () => {
    const { lender, admit, log, clock } = setUp((_ask, askNo) =>
      askNo === 2 || askNo > 3 ? refused(0n) : granted(10n),
    );
    const { ticket } = await admit(10n);
    lender.settle(ticket, 10n);
    expect(log).toEqual(["ask", "close"]);
    await admit(10n);
    expect(log.slice(2)).toEqual(["ask", "settled", "ask"]);
    clock.advance(10_000);
    log.length = 0;
    expect((await errorOf(admit(10n))).kind).toBe("quota");
    expect(log).toEqual(["ask"]);
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
    expect(asks.map(({ requestNo }) => requestNo)).toEqual([1, 1, 2]);
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
      onRecord: (record) => records.push(record),
      onFault: (error) => {
        throw error;
      },
    });
    const { lender, admit } = setUp(({ minimum }) => granted(minimum), {
      leaseGranted: (leaseId, of) => spool.leaseGranted(leaseId, of),
      leaseClosed: (leaseId, of) => void spool.leaseClosed(leaseId, of),
    });
    for (let index = 0; index < 3; index += 1) {
      const { ticket } = await admit(10n);
      spool.requestClosed(usageOn(ticket.lease.leaseId));
      lender.settle(ticket, 7n);
      lender.closeAll();
    }
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
