import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { subjectOf, usageEnvelope, usagePartitionOf, type SpoolRecord } from "@codex/contracts";
import { newId, uuidToId, type LeaseId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import fc from "fast-check";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  expect(await brokenInvariants(world.query)).toEqual([]);
  await world.stop();
});

interface Quarantined {
  epoch: string | null;
  seq: string | null;
  reason: string;
  error: string;
  raw: string;
}

const quarantined = (epoch: number): Promise<Quarantined[]> =>
  world.query<Quarantined>("select epoch, seq, reason, error, raw from quarantine where epoch = $1 order by seq, id", [
    epoch,
  ]);

/** Publishes anything as an envelope, also what the contract would not let through. */
async function sendRaw(
  partition: number,
  epoch: number,
  first: number,
  last: number,
  records: readonly unknown[],
): Promise<void> {
  await sendBytes(
    partition,
    JSON.stringify({
      specversion: "1.0",
      id: newId("evt"),
      source: "test",
      type: "usage.spooled.v1",
      time: new Date().toISOString(),
      data: { epoch, partition, first, last, records },
    }),
  );
}

async function sendBytes(partition: number, payload: string): Promise<void> {
  const subject = subjectOf(usageEnvelope.pattern, { partition: String(partition) });
  await world.bus.publishRaw([{ eventId: newId("evt"), subject, payload, headers: {} }]);
}

const wire = (record: SpoolRecord): Record<string, unknown> =>
  JSON.parse(
    JSON.stringify(record, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value)),
  ) as Record<string, unknown>;

describe("a usage envelope", () => {
  test("given a lease, when usage is sent, then bonus is debited before paid, the hold shrinks and the watermark covers it", async () => {
    const accountId = accountIn(3);
    await fund(world, accountId, { paid: 1_000n, bonus: 100n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 400n);
    // 10 × 10 + 2 × 20 + 5 = 145: 100 from bonus, 45 from paid.
    await worker.send([worker.usage(accountId, leaseId, { input: 10, output: 2 })]);
    await worker.confirmed(3, 1);
    expect(await balanceOf(world, accountId)).toEqual({
      paidMicroTokens: 955n,
      bonusMicroTokens: 0n,
      heldMicroTokens: 255n,
      availableMicroTokens: 700n,
    });
    const transfers = await world.query(
      `select d.kind as debit, c.kind as credit, t.amount from transfer t join ledger_account d on d.id = t.debit_account_id
       join ledger_account c on c.id = t.credit_account_id where t.kind = 'usage' and t.batch_id = (select batch_id from usage_event where epoch = $1) order by d.kind`,
      [worker.epoch],
    );
    expect(transfers).toEqual([
      { debit: "customer_bonus", credit: "revenue", amount: "100" },
      { debit: "customer_paid", credit: "revenue", amount: "45" },
    ]);
  });

  test("given applied usage, when the envelope comes again and again, also cut otherwise, then nothing changes", async () => {
    const accountId = accountIn(4);
    await fund(world, accountId, { paid: 10_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 5_000n);
    const records = Array.from({ length: 6 }, () => worker.usage(accountId, leaseId, { input: 10 }));
    await worker.send(records);
    await worker.confirmed(4, 6);
    const before = await balanceOf(world, accountId);
    const books = await world.query(
      "select (select count(*) from entry) as entries, (select count(*) from ingest_batch) as batches",
    );
    for (let round = 0; round < 3; round += 1) await worker.send(records, { id: newId("evt") });
    await worker.send(records.slice(2, 4), { id: newId("evt") });
    // A record of another worker behind them: when it is in, they have been handled.
    const behind = await Worker.open(world);
    await behind.send([behind.usage(accountId, await behind.lease(accountId, 100n), {}, { costMicroTokens: 0n })]);
    await behind.confirmed(4, 1);
    expect(await balanceOf(world, accountId)).toMatchObject({ paidMicroTokens: before.paidMicroTokens });
    const [after] = await world.query<{ entries: string; batches: string }>(
      "select (select count(*) from entry) as entries, (select count(*) from ingest_batch) as batches",
    );
    expect(after?.entries).toBe(books[0]?.["entries"]);
    expect(await quarantined(worker.epoch)).toEqual([]);
  });

  test("given envelopes out of order, when the last comes first, then the watermark waits for the hole and then jumps", async () => {
    const accountId = accountIn(5);
    await fund(world, accountId, { paid: 10_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 5_000n);
    const records = Array.from({ length: 9 }, () => worker.usage(accountId, leaseId, { input: 1 }));
    await worker.send(records.slice(6));
    await worker.send(records.slice(3, 6));
    await eventually(async () => (await balanceOf(world, accountId)).paidMicroTokens === 10_000n - 6n * 15n, {
      what: "six debits",
    });
    expect(await worker.watermark(5)).toBe(0);
    await worker.send(records.slice(0, 3));
    await worker.confirmed(5, 9);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(10_000n - 9n * 15n);
  });

  test("given any order, repetition and cutting of the same records, when all are in, then the books are the same", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ account: fc.nat(2), tokens: fc.nat(20) }), { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat(1_000_000)),
        async (uses, dice) => {
          const accounts = [accountIn(6), accountIn(6), accountIn(6)];
          const worker = await Worker.open(world, "permutations");
          const leases: LeaseId[] = [];
          for (const accountId of accounts) {
            await fund(world, accountId, { paid: 1_000n, bonus: 300n });
            leases.push(await worker.lease(accountId, 900n));
          }
          const records: SpoolRecord[] = uses.map((use) =>
            worker.usage(accounts[use.account]!, leases[use.account]!, { input: use.tokens }),
          );
          const costs = accounts.map((accountId) =>
            records.reduce(
              (sum, record) =>
                sum + (record.type === "usage" && record.accountId === accountId ? record.costMicroTokens : 0n),
              0n,
            ),
          );
          const settled = costs.map((cost) => (cost > 900n ? 900n : cost));
          accounts.forEach((accountId, index) =>
            records.push(worker.close(accountId, leases[index]!, settled[index]!)),
          );
          const roll = (): number => {
            const rolled: IteratorResult<number, unknown> = dice.next();
            return rolled.done === true ? 0 : rolled.value;
          };
          // Everything once, shuffled; then some of it again.
          const shuffled = records
            .map((record) => ({ record, at: roll() }))
            .toSorted((a, b) => a.at - b.at)
            .map((item) => item.record);
          for (let from = 0; from < shuffled.length;) {
            const size = 1 + (roll() % 4);
            const part = shuffled.slice(from, from + size);
            await worker.send(part, { id: newId("evt") });
            if (roll() % 3 === 0) await worker.send(part, { id: newId("evt") });
            from += size;
          }
          await worker.confirmed(6, records.length);
          for (const [index, accountId] of accounts.entries()) {
            const cost = settled[index]!;
            const fromBonus = cost < 300n ? cost : 300n;
            expect(await balanceOf(world, accountId)).toMatchObject({
              bonusMicroTokens: 300n - fromBonus,
              paidMicroTokens: 1_000n - (cost - fromBonus),
              heldMicroTokens: 0n,
            });
          }
        },
      ),
      { numRuns: 12 },
    );
    expect(await brokenInvariants(world.query)).toEqual([]);
  }, 60_000);
});

describe("what cannot be booked", () => {
  test("given good records around one that cannot be read, when they are sent, then it is in quarantine, the rest is booked and the watermark passes", async () => {
    const accountId = accountIn(7);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    const records = Array.from({ length: 3 }, () => worker.usage(accountId, leaseId, { input: 1 }));
    const bad = { ...wire(records[1]!), costMicroTokens: "not money" };
    await sendRaw(7, worker.epoch, 1, 3, [wire(records[0]!), bad, wire(records[2]!)]);
    await worker.confirmed(7, 3);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(970n);
    expect(await quarantined(worker.epoch)).toEqual([
      {
        epoch: String(worker.epoch),
        seq: "2",
        reason: "unparseable",
        error: "costMicroTokens: invalid_format",
        raw: JSON.stringify(bad),
      },
    ]);
  });

  test("given a record that only the database refuses, when it is sent among forty, then bisecting finds it and the others are booked", async () => {
    const accountId = accountIn(7);
    await fund(world, accountId, { paid: 100_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 50_000n);
    // Postgres text takes no NUL; the contract's string does.
    const records = Array.from({ length: 40 }, (_, index) =>
      worker.usage(accountId, leaseId, { input: 1 }, index === 23 ? { channel: "a\u0000b" } : {}),
    );
    await worker.send(records);
    await worker.confirmed(7, 40);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(100_000n - 39n * 15n);
    const rows = await quarantined(worker.epoch);
    expect(rows.map((row) => [row.seq, row.reason])).toEqual([["24", "rejected"]]);
  });

  test("given an unknown price version or model, when usage names it, then it is in quarantine and costs nothing", async () => {
    const accountId = accountIn(8);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    await worker.send([
      worker.usage(accountId, leaseId, { input: 1 }, { priceVersion: newId("prc") }),
      worker.usage(accountId, leaseId, { input: 1 }, { model: "no-such-model" }),
    ]);
    await worker.confirmed(8, 2);
    expect((await quarantined(worker.epoch)).map((row) => row.reason)).toEqual(["unpriced", "unpriced"]);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(1_000n);
  });

  test("given a booked number, when another payload comes under it, then the first stays booked and the second is in quarantine", async () => {
    const accountId = accountIn(8);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    const record = worker.usage(accountId, leaseId, { input: 1 });
    await worker.send([record]);
    await worker.confirmed(8, 1);
    await worker.send([{ ...record, durationMs: 999 }], { id: newId("evt") });
    const rows = await eventually(
      async () => {
        const found = await quarantined(worker.epoch);
        return found.length > 0 && found;
      },
      { what: "the conflict in quarantine" },
    );
    expect(rows).toMatchObject([{ seq: "1", reason: "conflict" }]);
    expect(rows[0]?.raw).toContain('"durationMs":999');
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(985n);
  });

  test("given an epoch that was never issued, when it sends usage, then it is in quarantine and no watermark exists", async () => {
    const accountId = accountIn(8);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    const record = worker.usage(accountId, leaseId, { input: 1 });
    const foreign = Object.assign(Object.create(worker) as Worker, { epoch: 777 });
    await foreign.send([record]);
    await eventually(async () => (await quarantined(777)).length === 1, { what: "the record in quarantine" });
    expect(await quarantined(777)).toMatchObject([{ seq: "1", reason: "unknown_epoch" }]);
    expect(await foreign.watermark(8)).toBe(0);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(1_000n);
  });

  test("given an account of another partition, when its record comes here, then it is in quarantine: one writer an account", async () => {
    const [here, elsewhere] = [accountIn(9), accountIn(10)];
    const worker = await Worker.open(world);
    const stray = { ...worker.usage(elsewhere, newId("lse"), { input: 1 }), seq: 1 };
    await sendRaw(9, worker.epoch, 1, 1, [wire(stray)]);
    await worker.confirmed(9, 1);
    expect(usagePartitionOf(here)).toBe(9);
    expect(await quarantined(worker.epoch)).toMatchObject([{ seq: "1", reason: "misrouted" }]);
  });

  test.each([
    ["bytes that are no JSON", "\u0000{not json"],
    [
      "an envelope of another type",
      JSON.stringify({
        specversion: "1.0",
        id: "x",
        source: "test",
        type: "other.v1",
        time: "2026-01-01T00:00:00Z",
        data: {},
      }),
    ],
  ])(
    "given %s, when it is in the stream, then it is kept aside once and what follows is booked",
    async (_name, payload) => {
      const accountId = accountIn(11);
      await fund(world, accountId, { paid: 1_000n });
      const worker = await Worker.open(world);
      const leaseId = await worker.lease(accountId, 500n);
      await sendBytes(11, payload);
      await sendBytes(11, payload);
      await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
      await worker.confirmed(11, 1);
      const rows = await world.query<{ raw: string }>(
        "select raw from quarantine where epoch is null and partition = 11",
      );
      expect(rows.filter((row) => row.raw === payload.replace("\u0000", "\ufffd"))).toHaveLength(1);
    },
  );
});

describe("charges", () => {
  test("given a charge that its own counts do not give, when it is booked, then it is booked as reported and flagged", async () => {
    const accountId = accountIn(12);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    await worker.send([
      worker.usage(accountId, leaseId, { input: 10 }),
      worker.usage(accountId, leaseId, { input: 10 }, { costMicroTokens: 104n, holdMicroTokens: 200n }),
      worker.usage(accountId, leaseId, { input: 10 }, { costMicroTokens: 90n, holdMicroTokens: 50n }),
    ]);
    await worker.confirmed(12, 3);
    const rows = await world.query("select charged, charge_mismatch from usage_event where epoch = $1 order by seq", [
      worker.epoch,
    ]);
    expect(rows).toEqual([
      { charged: "105", charge_mismatch: false },
      { charged: "104", charge_mismatch: true },
      { charged: "50", charge_mismatch: true },
    ]);
    const metrics = await (await fetch(`http://127.0.0.1:${String(world.service.adminPort)}/metrics`)).text();
    expect(metrics).toMatch(/billing_charge_mismatches_total(\{[^}]*\})? 2\b/);
  });
});

describe("lease close", () => {
  test("given a lease with money left, when its close is covered by the watermark, then the rest is free, and not before", async () => {
    const accountId = accountIn(13);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 400n);
    const use = worker.usage(accountId, leaseId, { input: 1 });
    const close = worker.close(accountId, leaseId, 15n);
    await worker.send([close]);
    await eventually(
      async () =>
        (await world.query("select from lease where state = 'closing' and epoch = $1", [worker.epoch])).length === 1,
      { what: "the close to arrive" },
    );
    expect((await balanceOf(world, accountId)).heldMicroTokens).toBe(400n);
    await worker.send([use]);
    await worker.confirmed(13, 2);
    expect(await balanceOf(world, accountId)).toMatchObject({
      paidMicroTokens: 985n,
      heldMicroTokens: 0n,
      availableMicroTokens: 985n,
    });
    expect(
      await world.query("select state, settled, worker_settled from lease where epoch = $1", [worker.epoch]),
    ).toEqual([{ state: "closed", settled: "15", worker_settled: "15" }]);
  });

  test("given a closed lease, when an event still names it, then the operator pays and the customer does not", async () => {
    const accountId = accountIn(13);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 400n);
    await worker.send([worker.close(accountId, leaseId, 0n)]);
    await worker.confirmed(13, 1);
    const late = worker.usage(accountId, leaseId, { input: 1 });
    await worker.send([late]);
    await worker.confirmed(13, 2);
    expect(await balanceOf(world, accountId)).toMatchObject({ paidMicroTokens: 1_000n, heldMicroTokens: 0n });
    expect(await quarantined(worker.epoch)).toEqual([]);
    const [row] = await world.query("select cost, charged, batch_id from usage_event where epoch = $1 and seq = 2", [
      worker.epoch,
    ]);
    expect(row).toMatchObject({ cost: "15", charged: "0" });
    const transfers = await world.query(
      `select d.kind as debit, c.kind as credit, t.amount from transfer t join ledger_account d on d.id = t.debit_account_id
       join ledger_account c on c.id = t.credit_account_id where t.batch_id = $1`,
      [row?.["batch_id"]],
    );
    expect(transfers).toEqual([{ debit: "write_off", credit: "revenue", amount: "15" }]);
  });

  test("given usage beyond its lease, when it is booked, then the lease pays what it has, in the order of the spool", async () => {
    const accountId = accountIn(13);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 40n);
    await worker.send(Array.from({ length: 4 }, () => worker.usage(accountId, leaseId, { input: 1 })));
    await worker.confirmed(13, 4);
    expect(await balanceOf(world, accountId)).toMatchObject({ paidMicroTokens: 960n, heldMicroTokens: 0n });
    const rows = await world.query<{ charged: string }>(
      "select charged from usage_event where epoch = $1 order by seq",
      [worker.epoch],
    );
    expect(rows.map((row) => row.charged)).toEqual(["15", "15", "10", "0"]);
  });

  test("given somebody else's lease, when usage names it, then neither customer pays", async () => {
    const [owner, other] = [accountIn(13), accountIn(13)];
    await fund(world, owner, { paid: 1_000n });
    await fund(world, other, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(owner, 400n);
    await worker.send([worker.usage(other, leaseId, { input: 1 }), worker.close(other, leaseId, 0n)]);
    await worker.confirmed(13, 2);
    expect(await balanceOf(world, owner)).toMatchObject({ paidMicroTokens: 1_000n, heldMicroTokens: 400n });
    expect(await balanceOf(world, other)).toMatchObject({ paidMicroTokens: 1_000n, heldMicroTokens: 0n });
  });
});

test("given random load over all partitions, when everything is confirmed, then all invariants hold and nobody overspent", async () => {
  const accounts = Array.from({ length: 40 }, () => newId("acc"));
  for (const [index, accountId] of accounts.entries())
    await fund(world, accountId, { paid: BigInt(500 + index), bonus: BigInt(index) });
  const workers = await Promise.all([
    Worker.open(world, "load-1"),
    Worker.open(world, "load-2"),
    Worker.open(world, "load-3"),
  ]);
  const sent = new Map<Worker, Map<number, number>>();
  await Promise.all(
    workers.map(async (worker, lane) => {
      const last = new Map<number, number>();
      sent.set(worker, last);
      for (let step = 0; step < 60; step += 1) {
        const accountId = accounts[(step * 7 + lane * 13) % accounts.length]!;
        const asked = await worker.ask(accountId, 30n, 120n);
        if (!asked.ok) continue;
        const records: SpoolRecord[] = [];
        for (let used = 0n; used + 25n <= asked.value.grantedMicroTokens && records.length < 5; used += 25n) {
          records.push(worker.usage(accountId, asked.value.leaseId, { input: 2 }));
        }
        if (step % 3 !== 0) records.push(worker.close(accountId, asked.value.leaseId, 25n * BigInt(records.length)));
        if (records.length === 0) continue;
        last.set(usagePartitionOf(accountId), records.at(-1)!.seq);
        await worker.send(records);
        if (step % 5 === 0) await worker.send(records, { id: newId("evt") });
      }
    }),
  );
  for (const [worker, last] of sent) for (const [partition, seq] of last) await worker.confirmed(partition, seq);
  expect(await brokenInvariants(world.query)).toEqual([]);
  const rows = await world.query<{ written_off: string }>(
    "select coalesce(sum(cost - charged), 0) as written_off from usage_event where epoch = any($1)",
    [workers.map((worker) => worker.epoch)],
  );
  expect(rows).toEqual([{ written_off: "0" }]);
  const owners = await world.query<{ account_id: string }>("select account_id from balance where paid + bonus < 0");
  expect(owners.map((row) => uuidToId("acc", row.account_id))).toEqual([]);
}, 60_000);
