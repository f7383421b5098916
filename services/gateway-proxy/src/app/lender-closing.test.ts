import type { SpoolRecord } from "@codex/contracts";
import { newId, type LeaseId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accountId, granted, setUp } from "../../tests/_lender.ts";
import { noTokens } from "../domain/usage.ts";
import { Spool } from "../spool/spool.ts";

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
