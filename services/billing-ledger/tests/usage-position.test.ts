import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { decodeEvent } from "@codex/bus";
import { balancesChanged, changedBalancesMax, leaseGrant, subjectOf } from "@codex/contracts";
import { idToUuid, newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import pg from "pg";
import { publishBalances } from "../src/bus/balance-changed.ts";
import { trimUsageStream } from "../src/bus/usage-trimmer.ts";
import { schema } from "../src/index.ts";
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

const positionOf = async (partition: number): Promise<{ created: string; floor: number; term: number } | undefined> => {
  const [row] = await world.query<{ created: string; floor: string; term: string }>(
    "select stream_created::text as created, floor, term from ingest_position where partition = $1",
    [partition],
  );
  return row && { created: row.created, floor: Number(row.floor), term: Number(row.term) };
};

const lastOfStream = async (): Promise<number> => {
  const { state } = await (await jetstreamManager(world.bus.connection)).streams.info("USAGE");
  return state.last_seq;
};

async function customer(partition: number, paid = 1_000n) {
  const accountId = accountIn(partition);
  await fund(world, accountId, { paid });
  const worker = await Worker.open(world);
  return { accountId, worker, leaseId: await worker.lease(accountId, 500n) };
}

describe("the position in the stream", () => {
  test("given booked usage, then the floor of its partition is its number in the stream", async () => {
    const { accountId, worker, leaseId } = await customer(2);
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    const seq = await lastOfStream();
    await worker.confirmed(2, 1);
    expect((await positionOf(2))?.floor).toBe(seq);
  });

  test("given usage in the hands of a writer that dies, then the next one books it at once, and once", async () => {
    const { accountId, worker, leaseId } = await customer(3);
    const holder = new pg.Client({ connectionString: world.database.adminUrl, options: `-c search_path=${schema}` });
    await holder.connect();
    try {
      await holder.query("begin");
      await holder.query("select from balance where account_id = $1 for update", [idToUuid(accountId)]);
      await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
      const { pid } = await eventually(
        async () => {
          const [waiting] = await world.query<{ pid: number }>(
            `select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%apply_batch%'
               and datname = current_database()`,
          );
          return waiting;
        },
        { what: "a batch that waits for the balance" },
      );
      await world.query("select pg_terminate_backend($1)", [pid]);
    } finally {
      await holder.query("rollback");
      await holder.end();
    }
    // Far below what any ack wait would be.
    await worker.confirmed(3, 1, 10_000);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(985n);
  });

  test("given another writer has begun, when the former one books, then it is refused, and nothing is lost or doubled", async () => {
    const { accountId, worker, leaseId } = await customer(4);
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(4, 1);
    const before = await positionOf(4);
    await world.query(
      "select begin_ingest(4::smallint, stream_created, floor) from ingest_position where partition = 4",
    );
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(4, 2, 10_000);
    expect((await positionOf(4))?.term).toBeGreaterThan((before?.term ?? 0) + 1);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(970n);
  });

  test("given the stream is lost and made anew, then reading begins at its beginning, and what is booked stays booked once", async () => {
    const { accountId, worker, leaseId } = await customer(5);
    const first = worker.usage(accountId, leaseId, { input: 1 });
    await worker.send([first]);
    await worker.confirmed(5, 1);
    const before = await positionOf(5);
    const jsm = await jetstreamManager(world.bus.connection);
    await jsm.streams.delete("USAGE");
    await world.bus.ensureTopology();
    await worker.send([first, worker.usage(accountId, leaseId, { input: 1 })], { id: newId("evt") });
    await worker.confirmed(5, 2, 15_000);
    const after = await positionOf(5);
    expect(after?.created).not.toBe(before?.created);
    expect(after?.floor).toBe(await lastOfStream());
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(970n);
  });

  test("given the stream has lost its end, then reading begins anew instead of waiting for numbers to come back", async () => {
    const { accountId, worker, leaseId } = await customer(6);
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(6, 1);
    const known = await positionOf(6);
    const [row] = await world.query<{ floor: string }>(
      "select floor from begin_ingest(6::smallint, $1::timestamptz, $2)",
      [known?.created, (known?.floor ?? 0) - 1],
    );
    expect(row?.floor).toBe("0");
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(6, 2, 10_000);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(970n);
  });

  test("given booked and open messages, when the stream is trimmed, then what is open and the margin stay", async () => {
    const { accountId, worker, leaseId } = await customer(7);
    for (let index = 0; index < 5; index += 1) await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(7, 5);
    const last = await lastOfStream();
    const floors = async (partition: number, floor: number) => {
      const rows = await world.query<{ partition: number; stream_created: Date; floor: string }>(
        "select partition, stream_created, floor from ingest_position",
      );
      return rows.map((row) => ({
        partition: row.partition,
        streamCreated: row.stream_created,
        floor: row.partition === partition ? floor : Number(row.floor),
      }));
    };
    await trimUsageStream({ bus: world.bus, floors: () => floors(7, last - 2), margin: 0 });
    const jsm = await jetstreamManager(world.bus.connection);
    expect((await jsm.streams.info("USAGE")).state.first_seq).toBe(last - 1);
    await trimUsageStream({ bus: world.bus, floors: () => floors(7, last), margin: 1 });
    expect((await jsm.streams.info("USAGE")).state).toMatchObject({ first_seq: last, messages: 1 });
  });
});

test("given many batches of one account, then the newest balance is told, and nothing is left to tell", async () => {
  const { accountId, worker, leaseId } = await customer(8);
  for (let index = 1; index <= 5; index += 1) {
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(8, index);
  }
  const jsm = await jetstreamManager(world.bus.connection);
  const told = await eventually(
    async () => {
      const message = await jsm.streams.getMessage("EVENTS", {
        last_by_subj: subjectOf(balancesChanged.pattern, { partition: "8" }),
      });
      type Told = { accountId: string; paidMicroTokens: string; version: number };
      const event = message?.json<{ data: { balances: Told[] } }>();
      const own = event?.data.balances.find((balance) => balance.accountId === accountId);
      return own?.paidMicroTokens === "925" && own;
    },
    { what: "the balance after five batches" },
  );
  const [row] = await world.query<{ version: string }>("select version from balance where account_id = $1", [
    idToUuid(accountId),
  ]);
  expect(String(told.version)).toBe(row?.version);
  await eventually(async () => (await world.query("select from balance_dirty")).length === 0, {
    what: "nothing left to tell",
  });
});

test("given more changed balances of a partition than one message holds, then several tell of all of them", async () => {
  const subject = subjectOf(balancesChanged.pattern, { partition: "12" });
  const balances = Array.from({ length: 2 * changedBalancesMax + 1 }, (_, index) => ({
    accountId: accountIn(12),
    paid: 5n,
    bonus: 2n,
    held: 3n,
    version: index + 1,
  }));
  await publishBalances(world.bus, balances);
  const jsm = await jetstreamManager(world.bus.connection);
  const { state } = await jsm.streams.info("EVENTS", { subjects_filter: subject });
  expect(state.subjects).toEqual({ [subject]: 3 });
  const last = await jsm.streams.getMessage("EVENTS", { last_by_subj: subject });
  const told = decodeEvent(balancesChanged, last?.data ?? new Uint8Array());
  expect(told).toMatchObject({
    ok: true,
    value: {
      data: { partition: 12, balances: [{ accountId: balances.at(-1)?.accountId, availableMicroTokens: 4n }] },
    },
  });
});

test("given a capped key, when its lease is used and closed, then the windows of its grant have spent that and reserve nothing", async () => {
  const accountId = accountIn(9);
  await fund(world, accountId, { paid: 1_000n });
  const [worker, keyId] = [await Worker.open(world), newId("key")];
  const answer = await world.bus.call(leaseGrant, {
    epoch: worker.epoch,
    requestNo: 1_000,
    accountId,
    minimumMicroTokens: 200n,
    wantMicroTokens: 200n,
    cap: { keyId, dailyMicroTokens: 500n, monthlyMicroTokens: null, totalMicroTokens: null },
  });
  if (!answer.ok) throw new Error(answer.code);
  const { leaseId } = answer.value;
  const budgets = () =>
    world.query("select period, spent, reserved from key_budget where key_id = $1 order by period", [idToUuid(keyId)]);
  await worker.send([worker.usage(accountId, leaseId, { input: 1 }, { keyId })]);
  await worker.confirmed(9, 1);
  const periods = ["day", "month", "total"];
  expect(await budgets()).toEqual(periods.map((period) => ({ period, spent: "15", reserved: "185" })));
  await worker.send([worker.close(accountId, leaseId, 15n)]);
  await worker.confirmed(9, 2);
  expect(await budgets()).toEqual(periods.map((period) => ({ period, spent: "15", reserved: "0" })));
});

test("given an epoch of the day before, when its usage comes after midnight, then it is stored with its own day", async () => {
  const { accountId, worker, leaseId } = await customer(10);
  const epoch = worker.epoch - 1_000_000;
  const day = Math.floor(epoch / 1_000_000);
  await world.query("select ensure_usage_day($1)", [day]);
  await world.query("insert into gateway_epoch (epoch, worker_id) values ($1, 'yesterday')", [epoch]);
  const yesterday = Object.assign(Object.create(worker) as Worker, { epoch });
  await yesterday.send([yesterday.usage(accountId, leaseId, { input: 1 })]);
  await yesterday.confirmed(10, 1);
  expect(await world.query(`select seq from usage_row_${String(day)}`)).toEqual([{ seq: "1" }]);
});

test("given amounts, counts and times at their edges, when they are booked, then they read as they were sent", async () => {
  const accountId = accountIn(11);
  await fund(world, accountId, { paid: 9_000_000_000_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 8_000_000_000_000n);
  const wide = worker.usage(
    accountId,
    leaseId,
    { input: 2_000_000_000, cacheWrite1h: 7 },
    {
      costMicroTokens: 3_000_000_000n,
      holdMicroTokens: 5_000_000_000_000n,
      images: { count: 3, variant: "1024x1024-high" },
      audioMs: 1_234,
      startedAt: "2001-02-03T04:05:06.789Z",
    },
  );
  await worker.send([wide, worker.usage(accountId, newId("lse"), { input: 1 })]);
  await worker.confirmed(11, 2);
  const rows = await world.query(
    `select cost, charged, hold, tokens_input, tokens_cache_write_1h, image_count, image_variant, audio_ms, price_group, started_at,
       lease_id from usage_line where account_id = $1 order by seq`,
    [idToUuid(accountId)],
  );
  expect(rows[0]).toEqual({
    cost: "3000000000",
    charged: "3000000000",
    hold: "5000000000000",
    tokens_input: "2000000000",
    tokens_cache_write_1h: "7",
    image_count: "3",
    image_variant: "1024x1024-high",
    audio_ms: "1234",
    price_group: "default",
    started_at: new Date("2001-02-03T04:05:06.789Z"),
    lease_id: idToUuid(leaseId),
  });
  expect(rows[1]).toMatchObject({ cost: "15", charged: "0" });
});
