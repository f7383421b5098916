import { eventHandler } from "@codex/bus";
import {
  balanceChanged,
  leaseGrant,
  leaseRecall,
  leaseRecalled,
  leaseRecover,
  leaseReturn,
  watermarkGet,
  type SpoolRecord,
} from "@codex/contracts";
import { idToUuid, newId, type AccountId, type KeyId, type LeaseId } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, settings, startWorld, Worker, type World } from "./_util.ts";

// The life of a lease between its grant and its close: money that comes back, and money that nobody can take twice.

const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  world = await startWorld({ LEASE_RECLAIM_EVERY_MS: "200" });
}, 60_000);

afterEach(async () => {
  expect(await brokenInvariants(world.query)).toEqual([]);
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

async function funded(paid: bigint, partition = 1): Promise<AccountId> {
  const accountId = accountIn(partition);
  await fund(world, accountId, { paid });
  return accountId;
}

async function giveBack(worker: Worker, accountId: AccountId, leaseId: LeaseId, ceiling: bigint): Promise<bigint> {
  const answer = await world.bus.call(leaseReturn, {
    epoch: worker.epoch,
    accountId,
    leases: [{ leaseId, ceilingMicroTokens: ceiling }],
  });
  if (!answer.ok) throw new Error("return refused");
  return answer.value.freedMicroTokens;
}

async function leaseRow(leaseId: LeaseId) {
  const [row] = await world.query<{ state: string; granted: string; settled: string }>(
    "select state, granted::text, settled::text from lease where id = $1",
    [idToUuid(leaseId)],
  );
  return row;
}

describe("lease.return", () => {
  test("given a lease, when its worker names a ceiling, then the rest is free at once; repeats and lower orders change nothing", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 400n);
    expect(await giveBack(worker, accountId, leaseId, 150n)).toBe(250n);
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 150n, availableMicroTokens: 850n });
    expect(await giveBack(worker, accountId, leaseId, 150n)).toBe(0n);
    expect(await giveBack(worker, accountId, leaseId, 300n)).toBe(0n);
    expect(await leaseRow(leaseId)).toMatchObject({ state: "open", granted: "150" });
  });

  test("given usage is still on its way, when the ceiling covers it, then it is charged in full, before or after", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    const [first, second] = [{ input: 10 }, { input: 10 }].map((tokens) => worker.usage(accountId, leaseId, tokens));
    const spent = (first?.costMicroTokens ?? 0n) + (second?.costMicroTokens ?? 0n);
    await worker.send([first] as SpoolRecord[]);
    await worker.confirmed(1, 1);
    expect(await giveBack(worker, accountId, leaseId, spent)).toBe(500n - spent);
    await worker.send([second, worker.close(accountId, leaseId, spent)] as SpoolRecord[]);
    await worker.confirmed(1, 3);
    expect(await balanceOf(world, accountId)).toMatchObject({ paidMicroTokens: 1_000n - spent, heldMicroTokens: 0n });
    expect(await leaseRow(leaseId)).toMatchObject({ state: "closed", settled: spent.toString() });
  });

  test("given a ceiling below what is settled, or of a foreign lease or epoch, then what is settled stays, and nothing else moves", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    const other = await Worker.open(world, "worker-2");
    const leaseId = await worker.lease(accountId, 500n);
    const usage = worker.usage(accountId, leaseId, { input: 10 });
    await worker.send([usage]);
    await worker.confirmed(1, 1);
    expect(await giveBack(other, accountId, leaseId, 0n)).toBe(0n);
    expect(await giveBack(worker, await funded(1n), leaseId, 0n)).toBe(0n);
    expect(await giveBack(worker, accountId, newId("lse"), 0n)).toBe(0n);
    expect(await giveBack(worker, accountId, leaseId, 0n)).toBe(500n - usage.costMicroTokens);
    expect(await leaseRow(leaseId)).toMatchObject({ granted: usage.costMicroTokens.toString() });
  });
});

describe("recall", () => {
  /** What is recalled, and what somebody does at each recall. */
  const recalls = async (then: (accountId: AccountId) => void = () => undefined) => {
    const heard: AccountId[] = [];
    const listening = await world.bus.onSignal(leaseRecall, ({ accountId }) => {
      heard.push(accountId);
      then(accountId);
    });
    return { heard, listening };
  };
  const answer = ({ epoch }: Worker, accountId: AccountId): void =>
    world.bus.signal(leaseRecalled, { params: { accountId }, data: { accountId, epoch } });

  test("given another worker holds idle money, when an ask would be refused, then it is recalled, and the ask is granted", async () => {
    const accountId = await funded(1_000n);
    const [holder, asker] = [await Worker.open(world), await Worker.open(world, "worker-2")];
    const leaseId = await holder.lease(accountId, 900n);
    const { heard, listening } = await recalls((signal) => {
      if (signal === accountId) void giveBack(holder, accountId, leaseId, 0n);
    });
    expect(await asker.ask(accountId, 800n)).toMatchObject({ ok: true, value: { grantedMicroTokens: 800n } });
    expect(heard).toEqual([accountId]);
    listening.stop();
  });

  test("given every holder has answered and nobody gives anything back, then the refusal comes after two recalls, with what is available and held", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    await worker.lease(accountId, 900n);
    const { heard, listening } = await recalls((signal) => {
      if (signal === accountId) answer(worker, accountId);
    });
    expect(await worker.ask(accountId, 800n)).toMatchObject({
      ok: false,
      code: "insufficient_balance",
      metadata: { availableMicroTokens: "100", heldMicroTokens: "900" },
    });
    expect(heard).toEqual([accountId, accountId]);
    // More than there ever was: nobody can help, so nobody is disturbed.
    expect(await worker.ask(accountId, 1_001n)).toMatchObject({ ok: false });
    expect(heard).toEqual([accountId, accountId]);
    listening.stop();
  });

  test("given a holder that hears nothing at first, then the refusal waits for it, and what it gives back late is granted", async () => {
    const accountId = await funded(1_000n);
    const [quick, late, asker] = [
      await Worker.open(world),
      await Worker.open(world, "worker-2"),
      await Worker.open(world, "worker-3"),
    ];
    await quick.lease(accountId, 100n);
    const leaseId = await late.lease(accountId, 600n);
    const { heard, listening } = await recalls((signal) => {
      if (signal !== accountId) return;
      answer(quick, accountId);
      // The first that comes after those of the ordinary wait.
      if (heard.length === 3) void giveBack(late, accountId, leaseId, 0n).then(() => answer(late, accountId));
    });
    expect(await asker.ask(accountId, 800n)).toMatchObject({ ok: true, value: { grantedMicroTokens: 800n } });
    expect(heard).toHaveLength(3);
    listening.stop();
  });

  test("given a holder that never answers, then the refusal comes all the same; one that has given no sign of life lately is not waited for", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    await worker.lease(accountId, 900n);
    const { heard, listening } = await recalls();
    expect(await worker.ask(accountId, 800n)).toMatchObject({ ok: false, code: "insufficient_balance" });
    expect(heard).toHaveLength(6);
    await world.query("update gateway_epoch set last_seen_at = now() - interval '4 minutes' where epoch = $1", [
      worker.epoch,
    ]);
    const asker = await Worker.open(world, "worker-2");
    expect(await asker.ask(accountId, 800n)).toMatchObject({ ok: false, code: "insufficient_balance" });
    expect(heard).toHaveLength(8);
    listening.stop();
  });
});

describe("lease.recover", () => {
  const recover = async (worker: Worker, requestNo: number, accountId: AccountId) => {
    const answer = await world.bus.call(leaseRecover, { epoch: worker.epoch, requestNo, accountId });
    if (!answer.ok) throw new Error(answer.code);
    return answer.value.leaseId;
  };

  test("given a grant whose worker died before it heard of it, then the lease is found, again and again", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    const granted = await worker.ask(accountId, 300n, 300n, 7);
    if (!granted.ok) throw new Error("refused");
    expect(await recover(worker, 7, accountId)).toBe(granted.value.leaseId);
    expect(await recover(worker, 7, accountId)).toBe(granted.value.leaseId);
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 300n });
  });

  test("given an ask that was never granted, then its number is burnt: the ask that arrives later holds nothing", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    expect(await recover(worker, 8, accountId)).toBeNull();
    expect(await worker.ask(accountId, 300n, 300n, 8)).toMatchObject({ ok: true, value: { grantedMicroTokens: 0n } });
    expect(await recover(worker, 8, accountId)).toBeNull();
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 0n, availableMicroTokens: 1_000n });
  });

  test("given an epoch that was never opened, then it is refused", async () => {
    const answer = await world.bus.call(leaseRecover, { epoch: 1, requestNo: 1, accountId: await funded(1n) });
    expect(answer).toMatchObject({ ok: false, code: "unknown_epoch" });
  });
});

describe("reclaim", () => {
  const age = async (worker: Worker, leaseId: LeaseId, what: "worker and lease" | "lease"): Promise<void> => {
    await world.query("update lease set granted_at = now() - interval '25 hours' where id = $1", [idToUuid(leaseId)]);
    if (what === "lease") return;
    await world.query("update gateway_epoch set last_seen_at = now() - interval '25 hours' where epoch = $1", [
      worker.epoch,
    ]);
  };

  test("given a worker that was not seen for as long as is set, then its money is free and that is told; who was seen keeps it", async () => {
    const accountId = await funded(1_000n, 2);
    const [lost, alive] = [await Worker.open(world), await Worker.open(world, "worker-2")];
    const leaseId = await lost.lease(accountId, 300n);
    const kept = await alive.lease(accountId, 100n);
    const told: bigint[] = [];
    const consumer = await world.bus.consume({
      stream: "EVENTS",
      durable: "test-reclaim",
      events: [
        eventHandler(balanceChanged, async (data) => {
          if (data.accountId === accountId) told.push(data.heldMicroTokens);
        }),
      ],
    });
    await age(alive, kept, "lease");
    await age(lost, leaseId, "worker and lease");
    await eventually(async () => (await leaseRow(leaseId))?.state === "reclaimed", { what: "the reclaim" });
    expect(await leaseRow(kept)).toMatchObject({ state: "open", granted: "100" });
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 100n, availableMicroTokens: 900n });
    await eventually(() => told.includes(100n), { what: "balance.changed" });
    await consumer.stop();
  });

  test("given a worker asks for its watermark, then its epoch is seen again", async () => {
    const worker = await Worker.open(world);
    await world.query("update gateway_epoch set last_seen_at = now() - interval '23 hours' where epoch = $1", [
      worker.epoch,
    ]);
    await worker.watermark(1);
    const [row] = await world.query<{ fresh: boolean }>(
      "select last_seen_at > now() - interval '1 minute' as fresh from gateway_epoch where epoch = $1",
      [worker.epoch],
    );
    expect(row).toEqual({ fresh: true });
  });

  test("given a worker that wakes after its epoch was reclaimed by command, then what it sends is written off, and frees nothing twice", async () => {
    const accountId = await funded(1_000n);
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 300n);
    const early = worker.usage(accountId, leaseId, { input: 5 });
    await worker.send([early]);
    await worker.confirmed(1, 1);
    const program = fileURLToPath(new URL("../src/reclaim.ts", import.meta.url));
    const run = (...args: string[]) =>
      promisify(execFile)(process.execPath, ["--conditions=codex:source", program, ...args], {
        env: { ...settings(world.database, world.nats), PATH: "" },
        timeout: 30_000,
      });
    const { stdout } = await run("--epoch", String(worker.epoch));
    expect(JSON.parse(stdout)).toMatchObject({ event: "leases reclaimed", leases: 1, accounts: 1 });
    const after = { paidMicroTokens: 1_000n - early.costMicroTokens, heldMicroTokens: 0n };
    expect(await balanceOf(world, accountId)).toMatchObject(after);

    const late = worker.usage(accountId, leaseId, { input: 10 });
    expect(await giveBack(worker, accountId, leaseId, 0n)).toBe(0n);
    await worker.send([late, worker.close(accountId, leaseId, 0n)]);
    await worker.confirmed(1, 3);
    expect(await balanceOf(world, accountId)).toMatchObject(after);
    const [line] = await world.query<{ charged: string }>(
      "select charged::text from usage_line where account_id = $1 and request_id = $2",
      [idToUuid(accountId), idToUuid(late.requestId)],
    );
    expect(line).toEqual({ charged: "0" });
    expect(JSON.parse((await run("--epoch", String(worker.epoch))).stdout)).toMatchObject({ leases: 0 });
    await expect(run("--epoch", "x")).rejects.toMatchObject({ code: 64 });
  }, 60_000);
});

describe("caps of a key", () => {
  interface Caps {
    readonly daily?: bigint;
    readonly monthly?: bigint;
    readonly total?: bigint;
  }
  let requestNo = 1_000;
  const ask = (worker: Worker, accountId: AccountId, keyId: KeyId, caps: Caps, minimum: bigint, want = minimum) =>
    world.bus.call(leaseGrant, {
      epoch: worker.epoch,
      requestNo: (requestNo += 1),
      accountId,
      minimumMicroTokens: minimum,
      wantMicroTokens: want,
      cap: {
        keyId,
        dailyMicroTokens: caps.daily ?? null,
        monthlyMicroTokens: caps.monthly ?? null,
        totalMicroTokens: caps.total ?? null,
      },
    });
  const budgets = (keyId: KeyId) =>
    world.query("select period, reserved::text from key_budget where key_id = $1 order by period", [idToUuid(keyId)]);

  test.each([
    ["day", { daily: 100n, monthly: 500n, total: 900n }, /T00:00:00\.000Z$/],
    ["month", { daily: 500n, monthly: 100n }, /-01T00:00:00\.000Z$/],
    ["total", { total: 100n }, null],
  ] as const)(
    "given the %s's cap is the tightest, then it decides, and its refusal says when it resets",
    async (period, caps, resets) => {
      const accountId = await funded(10_000n);
      const [worker, keyId] = [await Worker.open(world), newId("key")];
      expect(await ask(worker, accountId, keyId, caps, 80n)).toMatchObject({ ok: true });
      const refused = await ask(worker, accountId, keyId, caps, 21n);
      expect(refused).toMatchObject({
        ok: false,
        code: "key_cap_reached",
        metadata: { period, capMicroTokens: "100", availableMicroTokens: "20", heldMicroTokens: "80" },
      });
      const { resetsAt } = (refused.ok ? {} : refused.metadata) as { resetsAt: string | null };
      if (resets) expect(resetsAt).toMatch(resets);
      else expect(resetsAt).toBeNull();
      expect(await ask(worker, accountId, keyId, caps, 20n)).toMatchObject({ ok: true });
      // Another key of the account has nothing to do with it.
      expect(await ask(worker, accountId, newId("key"), caps, 100n)).toMatchObject({ ok: true });
    },
  );

  test("given a rich account, then a capped lease is at most half of what the cap has left", async () => {
    const accountId = await funded(1_000_000n);
    const [worker, keyId] = [await Worker.open(world), newId("key")];
    expect(await ask(worker, accountId, keyId, { daily: 100n }, 1n, 10_000n)).toMatchObject({
      ok: true,
      value: { grantedMicroTokens: 50n },
    });
  });

  test("given 40 asks at once of two workers and a cap for three, then exactly three are granted", async () => {
    const accountId = await funded(1_000_000n);
    const keyId = newId("key");
    const workers = [await Worker.open(world), await Worker.open(world, "worker-2")];
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_value, at) => ask(workers[at % 2]!, accountId, keyId, { daily: 300n }, 100n)),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(3);
    expect(await budgets(keyId)).toEqual([
      { period: "day", reserved: "300" },
      { period: "month", reserved: "300" },
      { period: "total", reserved: "300" },
    ]);
  });

  test("given usage of a capped key is booked and its lease closed, then the caps know what was spent, and hold nothing", async () => {
    const accountId = await funded(10_000n);
    const [worker, keyId] = [await Worker.open(world), newId("key")];
    const granted = await ask(worker, accountId, keyId, { total: 1_000n }, 900n);
    if (!granted.ok) throw new Error("refused");
    const { leaseId } = granted.value;
    const usage = worker.usage(accountId, leaseId, { input: 10 }, { keyId });
    await worker.send([usage, worker.close(accountId, leaseId, usage.costMicroTokens)]);
    await worker.confirmed(1, 2);
    expect(
      await world.query(
        "select period, spent::text, reserved::text from key_budget where key_id = $1 order by period",
        [idToUuid(keyId)],
      ),
    ).toEqual(
      ["day", "month", "total"].map((period) => ({ period, spent: `${usage.costMicroTokens}`, reserved: "0" })),
    );
    const left = 1_000n - usage.costMicroTokens;
    expect(await ask(worker, accountId, keyId, { total: 1_000n }, left + 1n)).toMatchObject({
      code: "key_cap_reached",
    });
    expect(await ask(worker, accountId, keyId, { total: 1_000n }, left)).toMatchObject({ ok: true });
  });

  test("given a capped lease is given back or reclaimed, then the cap has it again", async () => {
    const accountId = await funded(10_000n);
    const [worker, keyId] = [await Worker.open(world), newId("key")];
    const granted = await ask(worker, accountId, keyId, { daily: 100n }, 90n);
    if (!granted.ok) throw new Error("refused");
    await giveBack(worker, accountId, granted.value.leaseId, 30n);
    expect(await budgets(keyId)).toContainEqual({ period: "day", reserved: "30" });
    await world.query("select from reclaim_leases($1, 0, 100)", [worker.epoch]);
    expect(await budgets(keyId)).toContainEqual({ period: "day", reserved: "0" });
    expect(await ask(worker, accountId, keyId, { daily: 100n }, 100n)).toMatchObject({ ok: true });
  });
});

test("given the ledger's position in the stream, then the watermark's answer carries it, and its price group comes with a lease", async () => {
  const worker = await Worker.open(world);
  await world.query(
    "insert into ingest_position (partition, stream_created, floor) values (9, '2026-11-25T10:00:00.123Z', 42) " +
      "on conflict (partition) do update set stream_created = excluded.stream_created, floor = 42",
  );
  const answer = await world.bus.call(watermarkGet, { epoch: worker.epoch });
  expect(answer.ok && answer.value.positions).toContainEqual({
    partition: 9,
    streamCreated: "2026-11-25T10:00:00.123Z",
    floor: 42,
  });
  const accountId = await funded(100n);
  await world.query("update balance set price_group = 'school' where account_id = $1", [idToUuid(accountId)]);
  expect(await worker.ask(accountId, 10n)).toMatchObject({ ok: true, value: { priceGroup: "school" } });
});
