import { usageEnvelope, usagePartitionOf, usageRecord, type SpoolRecord } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { DirectoryLocked, lockDirectory } from "./directory-lock.ts";
import { readLeftovers } from "./leftovers.ts";
import { decodeRecords, encodeRecord, type SpoolEntry } from "./record-codec.ts";
import { envelopePayload, openEntry, openPayload, usagePayload } from "./records.ts";
import { realDisk, SpoolFile } from "./spool-file.ts";
import { Spool } from "./spool.ts";
import { openRequest, usageOf } from "../../tests/_spool.ts";

const accountId: AccountId = newId("acc");
const leaseId = newId("lse");

function withDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function openSpool(directory: string, records: SpoolRecord[], segmentBytes = 1_000_000, disk = realDisk): Spool {
  return new Spool({
    directory,
    workerId: "w",
    epoch: 7,
    segmentBytes,
    bytesMax: 10_000_000,
    reserveBytes: 0,
    disk,
    onRecord: (record) => records.push(record),
    onFault: (error) => {
      throw error;
    },
  });
}

test("any prefix of a spool file gives exactly the whole records", () => {
  const entry = fc.record<SpoolEntry>({
    type: fc.constantFrom("epoch", "open", "progress", "close", "leaseClose", "lease", "ask", "refused", "sent"),
    payload: fc.string({ unit: "binary", maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), fc.nat(), (entries, cut) => {
      const parts = entries.map(encodeRecord);
      const file = Buffer.concat(parts);
      const bytes = cut % (file.length + 1);
      let whole = 0;
      let end = 0;
      for (const part of parts) {
        if (end + part.length > bytes) break;
        end += part.length;
        whole += 1;
      }
      const decoded = decodeRecords(file.subarray(0, bytes));
      expect(decoded.entries).toEqual(entries.slice(0, whole));
      expect(decoded.wholeBytes).toBe(end);
      expect(decoded.damagedBytes).toBe(0);
    }),
  );
});

test("a flipped bit loses its own record alone, and is told", () => {
  const parts = ["one", "two", "three"].map((payload) => encodeRecord({ type: "open", payload }));
  const file = Buffer.concat(parts);
  const at = (parts[0]?.length ?? 0) + 10;
  file.writeUInt8(file.readUInt8(at) ^ 1, at);
  const decoded = decodeRecords(file);
  expect(decoded.entries.map((entry) => entry.payload)).toEqual(["one", "three"]);
  expect(decoded.damagedBytes).toBe(parts[1]?.length);
});

test("the hand-written wire form of a usage record is the contract's", () => {
  const record = { ...usageOf(openRequest(accountId, leaseId), 42n), type: "usage" as const, seq: 3 };
  expect(JSON.parse(usagePayload(record))).toEqual(z.encode(usageRecord, record));
});

test("the hand-written wire form of an open request is the schema's", () => {
  const open = openRequest(accountId, leaseId);
  expect(JSON.parse(openEntry(open).payload)).toEqual(z.encode(openPayload, open));
});

test("the hand-written wire form of an envelope is the contract's", () => {
  const used = { ...usageOf(openRequest(accountId, leaseId), 42n), type: "usage" as const, seq: 3 };
  const closed = { type: "lease_close" as const, seq: 4, accountId, leaseId, settledMicroTokens: 42n };
  const data = {
    epoch: 2_026_112_600_001,
    partition: usagePartitionOf(accountId),
    first: 3,
    last: 4,
    records: [used, closed],
  };
  expect(JSON.parse(envelopePayload(data))).toEqual(z.encode(usageEnvelope.data, data));
});

test("given a spool that a gateway wrote before pictures, sound and price groups, then its records say the defaults and nothing else changes", () => {
  withDirectory((directory) => {
    const spool = openSpool(directory, []);
    spool.leaseGranted(leaseId, accountId);
    const closed = { ...usageOf(openRequest(accountId, leaseId), 42n), type: "usage" as const, seq: 1 };
    const { images, audioMs, priceGroup, ...former } = JSON.parse(usagePayload(closed)) as Record<string, unknown>;
    expect([images, audioMs, priceGroup]).toEqual([null, 0, "default"]);
    const file = join(directory, readdirSync(directory).find((name) => name.endsWith(".spool")) ?? "");
    appendFileSync(file, encodeRecord({ type: "close", payload: JSON.stringify(former) }));
    const [leftover] = readLeftovers(directory);
    expect(leftover?.records[0]).toEqual(closed);
    expect(leftover?.damagedBytes).toBe(0);
  });
});

test("kill -9 in the middle: closed requests are kept, open ones are settled by their progress, leases are closed last", () => {
  withDirectory((directory) => {
    const records: SpoolRecord[] = [];
    const spool = openSpool(directory, records);
    const [closed, running, silent] = [
      openRequest(accountId, leaseId),
      openRequest(accountId, leaseId),
      openRequest(accountId, leaseId),
    ];
    spool.leaseGranted(leaseId, accountId);
    for (const open of [closed, running, silent]) spool.requestOpened(open);
    spool.progress({ requestId: running.requestId, deliveredBytes: 40, costMicroTokens: 30n, outputTokens: 10 });
    spool.requestClosed(usageOf(closed, 12n));
    // No close of the spool: this is what a killed process leaves.
    const [leftover] = readLeftovers(directory);
    expect(leftover).toMatchObject({ epoch: 7, abandoned: 2 });
    expect(leftover?.records.map((record) => record.seq)).toEqual([1, 2, 3, 4]);
    expect(leftover?.records.slice(0, 3)).toMatchObject([
      { requestId: closed.requestId, costMicroTokens: 12n, status: "ok" },
      { requestId: running.requestId, costMicroTokens: 30n, status: "abandoned", estimated: true },
      { requestId: silent.requestId, costMicroTokens: 0n, status: "abandoned" },
    ]);
    expect(leftover?.records[3]).toEqual({ type: "lease_close", seq: 4, accountId, leaseId, settledMicroTokens: 42n });
    leftover?.forget();
    expect(readdirSync(directory)).toEqual([]);
  });
});

test("segments rotate, go when confirmed, and what is alive survives in the newest one", () => {
  withDirectory((directory) => {
    const records: SpoolRecord[] = [];
    const spool = openSpool(directory, records, 4_096);
    spool.leaseGranted(leaseId, accountId);
    const alive = openRequest(accountId, leaseId);
    spool.requestOpened(alive);
    for (let index = 0; index < 50; index += 1) {
      const open = openRequest(accountId, leaseId);
      spool.requestOpened(open);
      spool.requestClosed(usageOf(open, 1n));
    }
    const before = readdirSync(directory).sort();
    expect(before.length).toBeGreaterThan(3);
    // What only the newest segment holds is enough to recover what is alive.
    for (const name of before.slice(0, -1)) rmSync(join(directory, name));
    const [leftover] = readLeftovers(directory);
    const recovered = leftover?.records ?? [];
    expect(recovered.find((record) => record.type === "usage" && record.requestId === alive.requestId)).toMatchObject({
      seq: 51,
    });
    expect(recovered.at(-1)).toMatchObject({ type: "lease_close", seq: 52, settledMicroTokens: 50n });
  });
});

test("what the record that fills a segment says is alive in the next one as well", () => {
  withDirectory((directory) => {
    // Every record fills its segment, so each begins a new one.
    const spool = openSpool(directory, [], 1);
    const open = openRequest(accountId, leaseId);
    spool.leaseGranted(leaseId, accountId);
    spool.requestOpened(open);
    const names = readdirSync(directory).sort();
    for (const name of names.slice(0, -1)) rmSync(join(directory, name));
    expect(readLeftovers(directory)[0]?.records).toMatchObject([
      { type: "usage", requestId: open.requestId, status: "abandoned" },
      { type: "lease_close", leaseId },
    ]);
  });
});

test("a recovery that is itself killed and repeated says the same, whatever the time is", () => {
  withDirectory((directory) => {
    const spool = openSpool(directory, []);
    spool.leaseGranted(leaseId, accountId);
    spool.requestOpened(openRequest(accountId, leaseId));
    const [name = ""] = readdirSync(directory);
    const path = join(directory, name);
    const lastWrite = new Date("2026-11-23T12:00:05.000Z");
    utimesSync(path, lastWrite, lastWrite);
    const [first] = readLeftovers(directory);
    expect(first?.records[0]).toMatchObject({ durationMs: 5_000 });
    const [second] = readLeftovers(directory);
    expect(second?.records).toEqual(first?.records);
  });
});

test("a record leaves once it is on the disk, in the order of its number, whichever segment was synced first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  const records: SpoolRecord[] = [];
  const flushes: (() => void)[] = [];
  const disk = { ...realDisk, flush: (_file: number, done: (error: null) => void) => flushes.push(() => done(null)) };
  // Every record fills its segment.
  const spool = openSpool(directory, records, 1, disk);
  const opens = [openRequest(accountId, leaseId), openRequest(accountId, leaseId)];
  for (const open of opens) spool.requestOpened(open);
  for (const open of opens) spool.requestClosed(usageOf(open, 1n));
  const synced = spool.synced();
  expect(flushes.length).toBeGreaterThan(3);
  for (const flushed of flushes.splice(1).reverse()) flushed();
  expect(records.map(({ seq }) => seq)).toEqual([1, 2]);
  flushes[0]?.();
  await synced;
  expect(records).toHaveLength(2);
  rmSync(directory, { recursive: true });
});

test("a record that is not on the disk yet has not left", async () => {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  const records: SpoolRecord[] = [];
  const flushes: (() => void)[] = [];
  const disk = { ...realDisk, flush: (_file: number, done: (error: null) => void) => flushes.push(() => done(null)) };
  const spool = openSpool(directory, records, 1_000_000, disk);
  const open = openRequest(accountId, leaseId);
  spool.requestOpened(open);
  spool.requestClosed(usageOf(open, 1n));
  const synced = spool.synced();
  expect(records).toEqual([]);
  for (const flushed of flushes) flushed();
  await synced;
  expect(records).toMatchObject([{ requestId: open.requestId }]);
  rmSync(directory, { recursive: true });
});

test("records that arrive while the disk syncs are synced after it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  const path = join(directory, "f");
  const synced: number[] = [];
  let finish: () => void = () => undefined;
  const file = new SpoolFile(path, () => undefined, {
    ...realDisk,
    flush: (_descriptor, done) => {
      synced.push(readFileSync(path).length);
      finish = () => done(null);
    },
  });
  file.append({ type: "open", payload: "1" });
  const first = file.sync();
  file.append({ type: "open", payload: "2" });
  const second = file.sync();
  expect(synced).toEqual([10]);
  finish();
  await first;
  expect(synced).toEqual([10, 20]);
  finish();
  await second;
  const closing = file.close();
  finish();
  await closing;
  rmSync(directory, { recursive: true });
});

test("confirmed segments are deleted, unconfirmed ones are not", async () => {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  const records: SpoolRecord[] = [];
  const spool = openSpool(directory, records, 2_048);
  for (let index = 0; index < 20; index += 1) {
    const open = openRequest(accountId, leaseId);
    spool.requestOpened(open);
    spool.requestClosed(usageOf(open, 1n));
  }
  const files = readdirSync(directory).length;
  spool.confirmed(new Map());
  expect(readdirSync(directory)).toHaveLength(files);
  const partitions = new Map(Array.from({ length: 16 }, (_value, partition) => [partition, 20]));
  spool.confirmed(partitions);
  await spool.close(false);
  expect(readdirSync(directory)).toHaveLength(1);
  rmSync(directory, { recursive: true });
});

test("a torn tail after a power cut loses only the torn record", () => {
  withDirectory((directory) => {
    const spool = openSpool(directory, []);
    const open = openRequest(accountId, leaseId);
    spool.requestOpened(open);
    spool.requestClosed(usageOf(open, 5n));
    const [name = ""] = readdirSync(directory);
    const path = join(directory, name);
    const file = readFileSync(path);
    writeFileSync(path, file.subarray(0, file.length - 3));
    const [leftover] = readLeftovers(directory);
    expect(leftover?.records).toMatchObject([{ requestId: open.requestId, status: "abandoned", costMicroTokens: 0n }]);
  });
});

test("a spool directory has one owner; a dead owner's lock is taken over", () => {
  withDirectory((directory) => {
    const release = lockDirectory(directory);
    expect(() => lockDirectory(directory)).toThrow(DirectoryLocked);
    release();
    writeFileSync(join(directory, "lock"), "4194300 123");
    lockDirectory(directory)();
    expect(readdirSync(directory)).toEqual([]);
  });
});

test("given an ask that was never answered, then an orderly end keeps the files for the next life; answered, they go", async () => {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  const spool = openSpool(directory, []);
  spool.leaseAsked(1, accountId);
  spool.leaseAsked(2, accountId);
  spool.leaseRefused(2);
  await spool.close(true);
  const [leftover] = readLeftovers(directory);
  expect(leftover?.asks).toEqual([{ requestNo: 1, accountId }]);
  leftover?.forget();

  const answered = openSpool(directory, []);
  answered.leaseAsked(1, accountId);
  answered.leaseGranted(leaseId, accountId, 1);
  answered.leaseClosed(leaseId, accountId);
  await answered.close(true);
  expect(readdirSync(directory)).toEqual([]);
  rmSync(directory, { recursive: true });
});
