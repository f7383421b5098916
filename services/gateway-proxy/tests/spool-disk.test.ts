import { usagePartitionOf, type SpoolRecord } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { eventually, propertyRuns } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLeftovers, type LeftoverEpoch } from "../src/spool/leftovers.ts";
import { decodeRecords, encodeRecord } from "../src/spool/record-codec.ts";
import { realDisk, type Disk } from "../src/spool/spool-file.ts";
import { openRequest, openSpool, usageOf, withDirectory } from "./_spool.ts";

// What the spool does when the disk is full, fails, or was changed; and that a kill at any record loses nothing.

const accountId = newId("acc");
const leaseId = newId("lse");

/** A directory whose disk can be filled and emptied again. */
interface FullableDisk {
  readonly directory: string;
  readonly disk: Disk | undefined;
  fill(): void;
  empty(): void;
  remove(): void;
}

function mountable(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "spool-full-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", directory]);
  if (mounted.status === 0) return directory;
  rmSync(directory, { recursive: true });
  return undefined;
}

function tmpfs(directory: string): FullableDisk {
  const filler = join(directory, "filler");
  return {
    directory,
    disk: undefined,
    fill() {
      let bytes = 262_144;
      let text = "";
      // To the last block.
      while (bytes >= 1) {
        try {
          writeFileSync(filler, text + "x".repeat(bytes));
          text += "x".repeat(bytes);
        } catch {
          writeFileSync(filler, text);
          bytes = Math.floor(bytes / 2);
        }
      }
    },
    empty: () => rmSync(filler, { force: true }),
    remove() {
      spawnSync("umount", ["-l", directory]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Where nothing can be mounted: a disk that refuses writes once they exceed what is left of it. */
function refusing(): FullableDisk {
  const directory = mkdtempSync(join(tmpdir(), "spool-full-"));
  let isFull = false;
  const reserved = (): boolean => readdirSync(directory).includes("reserve");
  return {
    directory,
    disk: {
      ...realDisk,
      write(descriptor, bytes, offset, length) {
        if (isFull && reserved()) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
        return realDisk.write(descriptor, bytes, offset, length);
      },
    },
    fill: () => {
      isFull = true;
    },
    empty: () => {
      isFull = false;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

const mounted = mountable();
const places: [string, FullableDisk][] = [["a disk that refuses", refusing()]];
if (mounted !== undefined) places.unshift(["a real full disk (tmpfs)", tmpfs(mounted)]);

describe("a full disk", () => {
  test.each(places)(
    "%s: nothing new begins, what runs ends and is kept; with space again it goes on by itself",
    async (_name, place) => {
      const { directory, disk } = place;
      try {
        const { spool, records, faults } = openSpool(directory, { reserveBytes: 65_536, ...(disk ? { disk } : {}) });
        spool.leaseGranted(leaseId, accountId);
        const running = Array.from({ length: 20 }, () => openRequest(accountId, leaseId));
        for (const open of running) spool.requestOpened(open);
        place.fill();
        // What is left of the last block is used up by whoever comes first; then the disk refuses.
        await eventually(
          () => {
            try {
              spool.requestOpened(openRequest(accountId, leaseId));
              return false;
            } catch {
              return true;
            }
          },
          { what: "a request to be refused", everyMs: 1 },
        );
        expect(spool.full).toBe(true);
        expect(faults).toHaveLength(1);
        expect(faults[0]).toMatchObject({ code: "ENOSPC" });
        expect(() => spool.leaseAsked(1, accountId)).toThrow(
          expect.objectContaining({ kind: "unavailable", code: "overloaded", retryAfterSeconds: 2 }),
        );
        for (const open of running) spool.requestClosed(usageOf(open, 5n));
        spool.leaseClosed(leaseId, accountId);
        expect(records).toHaveLength(21);
        // On the disk too, out of the reserve: a kill now would lose none of them.
        const kept = readLeftovers(directory)[0]?.records ?? [];
        expect(kept.slice(0, 21)).toEqual(records);
        spool.heal();
        expect(spool.full).toBe(disk === undefined || readdirSync(directory).includes("reserve") ? spool.full : true);
        place.empty();
        spool.heal();
        expect(spool.full).toBe(false);
        expect(statSync(join(directory, "reserve")).size).toBe(65_536);
        spool.requestOpened(openRequest(accountId, leaseId));
        expect(faults).toHaveLength(1);
        await spool.close(false);
      } finally {
        place.remove();
      }
    },
  );

  test("given not even the reserve takes it, then the record goes to the bus, is owed, and is written first when there is space", async () => {
    await withDirectory(async (directory) => {
      let isFull = false;
      const disk: Disk = {
        ...realDisk,
        write(...args) {
          if (isFull) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
          return realDisk.write(...args);
        },
      };
      const { spool, records } = openSpool(directory, { disk, reserveBytes: 4_096 });
      const open = openRequest(accountId, leaseId);
      spool.requestOpened(open);
      isFull = true;
      spool.requestClosed(usageOf(open, 5n));
      expect(records).toHaveLength(1);
      spool.heal();
      expect(spool.full).toBe(true);
      isFull = false;
      spool.heal();
      expect(spool.full).toBe(false);
      expect(readLeftovers(directory)[0]?.records).toEqual(records);
      await spool.close(false);
    });
  });
});

describe("limits", () => {
  test("given too many bytes or too old a record is unconfirmed, then nothing new is admitted, until it is confirmed", async () => {
    await withDirectory(async (directory) => {
      let ageMs = 0;
      const { spool } = openSpool(directory, {
        segmentBytes: 4_096,
        bytesMax: 16_384,
        unconfirmedAgeMs: () => ageMs,
        unconfirmedAgeMaxMs: 1_000,
      });
      const partition = usagePartitionOf(accountId);
      let closed = 0;
      while (!spool.full) {
        const open = openRequest(accountId, leaseId);
        spool.requestOpened(open);
        spool.requestClosed(usageOf(open, 1n));
        closed += 1;
      }
      spool.confirmed(new Map([[partition, closed]]));
      expect(spool.full).toBe(false);
      ageMs = 1_000;
      expect(spool.full).toBe(true);
      ageMs = 0;
      expect(spool.full).toBe(false);
      await spool.close(false);
    });
  });
});

describe("a sync that fails", () => {
  test("given the kernel dropped what was not synced, then a new segment holds it again, and recovery finds all of it once", async () => {
    await withDirectory(async (directory) => {
      let fails = false;
      const disk: Disk = {
        ...realDisk,
        flush: (descriptor, done) => {
          if (fails) done(Object.assign(new Error("EIO"), { code: "EIO" }));
          else realDisk.flush(descriptor, done);
        },
      };
      const { spool, records, faults } = openSpool(directory, { disk });
      const [first, second] = [openRequest(accountId, leaseId), openRequest(accountId, leaseId)];
      spool.leaseGranted(leaseId, accountId);
      spool.requestOpened(first);
      spool.requestClosed(usageOf(first, 7n));
      const synced = join(directory, readdirSync(directory)[0] ?? "");
      await eventually(() => faults.length === 0 && statSync(synced).size > 0, { what: "the first sync" });
      await new Promise((resolve) => setImmediate(resolve));
      const before = statSync(synced).size;
      fails = true;
      spool.requestOpened(second);
      spool.requestClosed(usageOf(second, 9n));
      await eventually(() => faults.length > 0, { what: "the failure to be told" });
      expect(spool.full).toBe(true);
      fails = false;
      spool.heal();
      expect(spool.full).toBe(false);
      truncateSync(synced, before);
      expect(readdirSync(directory)).toHaveLength(2);
      const [leftover] = readLeftovers(directory);
      expect(leftover?.records.slice(0, 2)).toEqual(records);
      expect(leftover?.records[2]).toMatchObject({ type: "lease_close", settledMicroTokens: 16n });
      expect(leftover?.abandoned).toBe(0);
      await spool.close(false);
    });
  });
});

describe("damage", () => {
  test("given a bit flips in the middle, then it is told, what follows is still read, and the file is kept when it is forgotten", async () => {
    await withDirectory(async (directory) => {
      const { spool, records } = openSpool(directory);
      for (let index = 0; index < 3; index += 1) {
        const open = openRequest(accountId, leaseId);
        spool.requestOpened(open);
        spool.requestClosed(usageOf(open, 1n));
      }
      await spool.synced();
      const [name = ""] = readdirSync(directory);
      const path = join(directory, name);
      const file = readFileSync(path);
      const { entries } = decodeRecords(file);
      const upTo = (count: number): number => Buffer.concat(entries.slice(0, count).map(encodeRecord)).length;
      // The second close.
      const at = upTo(4) + 40;
      file.writeUInt8(file.readUInt8(at) ^ 4, at);
      writeFileSync(path, file);
      const [leftover] = readLeftovers(directory);
      expect(leftover?.damagedBytes).toBe(upTo(5) - upTo(4));
      expect(leftover?.records).toEqual(expect.arrayContaining([records[0], records[2]]));
      leftover?.forget();
      expect(readdirSync(directory)).toEqual([`${name}.damaged`]);
      expect(readLeftovers(directory)).toEqual([]);
      await spool.close(false);
    });
  });
});

describe("asks in the journal", () => {
  test("given asks, then those without an answer are left over, over a rotation too; their closes come last, always the same", async () => {
    await withDirectory(async (directory) => {
      const { spool } = openSpool(directory, { segmentBytes: 1 });
      spool.leaseAsked(1, accountId);
      spool.leaseAsked(2, accountId);
      spool.leaseAsked(3, accountId);
      spool.leaseAsked(3, accountId);
      spool.leaseRefused(1);
      spool.leaseGranted(leaseId, accountId, 2);
      const names = readdirSync(directory).sort();
      for (const name of names.slice(0, -1)) rmSync(join(directory, name));
      const recover = (): SpoolRecord[] => {
        const leftover = readLeftovers(directory)[0] as LeftoverEpoch;
        expect(leftover.asks).toEqual([{ requestNo: 3, accountId }]);
        return [
          ...leftover.records,
          ...leftover.closesOf([{ leaseId: "lse_00000000000000000000000000" as never, accountId }]),
        ];
      };
      expect(recover().map(({ type, seq }) => [type, seq])).toEqual([
        ["lease_close", 1],
        ["lease_close", 2],
      ]);
      expect(recover()).toEqual(recover());
      await spool.close(false);
    });
  });
});

type Step = "ask" | "refuse" | "grant" | "open" | "progress" | "close" | "closeLease" | "sent";

/** Does what a worker does, in its order, as far as the step is possible just now. */
function perform(spool: ReturnType<typeof openSpool>["spool"], steps: readonly { step: Step; pick: number }[]): void {
  const accounts: AccountId[] = [accountId, newId("acc"), newId("acc")];
  const asks: { requestNo: number; of: AccountId }[] = [];
  const leases: { leaseId: ReturnType<typeof newId<"lse">>; of: AccountId }[] = [];
  const open: ReturnType<typeof openRequest>[] = [];
  let requestNo = 0;
  for (const { step, pick } of steps) {
    const lease = leases[pick % Math.max(leases.length, 1)];
    const request = open[pick % Math.max(open.length, 1)];
    if (step === "ask") {
      const of = accounts[pick % 3] ?? accountId;
      asks.push({ requestNo: (requestNo += 1), of });
      spool.leaseAsked(requestNo, of);
    } else if (step === "refuse") {
      const ask = asks.shift();
      if (ask) spool.leaseRefused(ask.requestNo);
    } else if (step === "grant") {
      const ask = asks.shift();
      if (!ask) continue;
      const granted = { leaseId: newId("lse"), of: ask.of };
      leases.push(granted);
      spool.leaseGranted(granted.leaseId, granted.of, ask.requestNo);
    } else if (step === "open" && lease) {
      const opened = openRequest(lease.of, lease.leaseId);
      open.push(opened);
      spool.requestOpened(opened);
    } else if (step === "progress" && request) {
      const { requestId } = request;
      spool.progress({ requestId, deliveredBytes: pick, costMicroTokens: BigInt(pick % 1_000), outputTokens: pick });
    } else if (step === "close" && request) {
      open.splice(open.indexOf(request), 1);
      spool.requestClosed(usageOf(request, BigInt(pick % 1_000)));
    } else if (step === "closeLease" && lease && !open.some((each) => each.leaseId === lease.leaseId)) {
      leases.splice(leases.indexOf(lease), 1);
      spool.leaseClosed(lease.leaseId, lease.of);
    } else if (step === "sent") {
      spool.enveloped({ partition: pick % 16, first: 1, last: 1 + pick });
    }
  }
}

/** What must be true of a recovery, whatever the files are cut to: `whole` are the records that are wholly there. */
function checkRecovery(whole: ReturnType<typeof decodeRecords>["entries"], leftover: LeftoverEpoch | undefined): void {
  const payloads = whole.map(({ type, payload }) => ({
    type,
    content: JSON.parse(payload) as Record<string, unknown>,
  }));
  const of = (type: string) => payloads.filter((entry) => entry.type === type).map(({ content }) => content);
  if (of("epoch").length === 0) {
    expect(leftover).toBeUndefined();
    return;
  }
  const records = leftover?.records ?? [];
  const spooled = payloads
    .filter(({ type }) => type === "close" || type === "leaseClose")
    .map(({ content }) => content);
  expect(records.slice(0, spooled.length).map(({ seq, accountId: id }) => [seq, id])).toEqual(
    spooled.map((content) => [content["seq"], content["accountId"]]),
  );
  const usages = records.filter((record) => record.type === "usage");
  const ids = [...of("open"), ...of("close")].map((content) => content["requestId"]);
  expect(usages.map(({ requestId }) => requestId).toSorted()).toEqual([...new Set(ids)].toSorted());
  const granted = of("lease").map((content) => content["leaseId"]);
  const closes = records.filter((record) => record.type === "lease_close");
  expect(closes.map((record) => record.leaseId).toSorted()).toEqual([...new Set(granted)].toSorted());
  for (const [at, record] of records.entries()) {
    if (record.type !== "lease_close") continue;
    const own = usages.filter((usage) => usage.leaseId === record.leaseId);
    expect(record.settledMicroTokens).toBe(own.reduce((sum, usage) => sum + usage.costMicroTokens, 0n));
    for (const usage of own) expect(records.indexOf(usage)).toBeLessThan(at);
  }
  const seqs = new Map<number, number>();
  for (const record of records) {
    const partition = usagePartitionOf(record.accountId);
    expect(record.seq).toBe((seqs.get(partition) ?? 0) + 1);
    seqs.set(partition, record.seq);
  }
  const answered = [...of("refused"), ...of("lease")].map((content) => content["requestNo"]);
  const asked = of("ask").map((content) => content["requestNo"]);
  expect(leftover?.asks.map(({ requestNo }) => requestNo)).toEqual(asked.filter((no) => !answered.includes(no)));
}

test("a kill at any record, and a cut at any byte, recovers exactly what was wholly written, with every end it lacks", async () => {
  const step = fc.record({
    step: fc.constantFrom<Step>(
      "ask",
      "refuse",
      "grant",
      "grant",
      "open",
      "open",
      "progress",
      "close",
      "closeLease",
      "sent",
    ),
    pick: fc.nat(5_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(), async (steps, cut) => {
      await withDirectory(async (directory) => {
        const { spool } = openSpool(directory);
        perform(spool, [{ step: "ask", pick: 0 }, { step: "grant", pick: 0 }, ...steps]);
        await spool.close(false);
        const [name = ""] = readdirSync(directory);
        const path = join(directory, name);
        const file = readFileSync(path);
        const { entries } = decodeRecords(file);
        const ends = entries.reduce<number[]>(
          (all, entry) => [...all, (all.at(-1) ?? 0) + encodeRecord(entry).length],
          [],
        );
        for (const end of [...ends, cut % file.length]) {
          writeFileSync(path, file.subarray(0, end));
          const whole = entries.slice(0, ends.filter((each) => each <= end).length);
          const [leftover] = readLeftovers(directory);
          checkRecovery(whole, leftover);
          expect(leftover?.damagedBytes ?? 0).toBe(0);
        }
      });
    }),
    { numRuns: propertyRuns(15) },
  );
}, 600_000);
