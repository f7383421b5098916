import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createDatabase, eventually, type TestDatabase } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import pg from "pg";
import { migrations, schema } from "../src/index.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ USAGE_WRITERS: "1", USAGE_ROUND_MS: "50" });
});
afterAll(async () => {
  expect(await brokenInvariants(world.query)).toEqual([]);
  await world.stop();
});

const positionOf = async (partition: number): Promise<{ floor: number; term: number }> => {
  const [row] = await world.query<{ floor: string; term: string }>(
    "select floor, term from ingest_position where partition = $1",
    [partition],
  );
  return { floor: Number(row?.floor), term: Number(row?.term) };
};

const marksOf = async (partition: number, query: World["query"] = (...of) => world.query(...of)): Promise<number[]> =>
  (await query<{ seq: string }>("select seq from ingest_mark where partition = $1 order by seq", [partition])).map(
    ({ seq }) => Number(seq),
  );

/** Three envelopes, each booked and marked by itself. Their numbers in the stream. */
async function threeBooked(partition: number) {
  const accountId = accountIn(partition);
  await fund(world, accountId, { paid: 1_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 500n);
  const jsm = await jetstreamManager(world.bus.connection);
  const seqs: number[] = [];
  for (let number = 1; number <= 3; number += 1) {
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(partition, number);
    seqs.push((await jsm.streams.info("USAGE")).state.last_seq);
    await eventually(async () => (await marksOf(partition)).length === number, {
      what: "the mark of what is booked",
      timeoutMs: 15_000,
    });
  }
  return { accountId, worker, leaseId, seqs };
}

/** As after a crash: the connection is gone, and whoever comes next has read nothing yet. */
const killWriter = (): Promise<unknown[]> =>
  world.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 2 and objid < 16
       and database = (select oid from pg_database where datname = current_database()) limit 1`,
  );

const storedAt = async (partition: number, seq: number): Promise<string | undefined> =>
  (
    await world.query<{ stored_at: string }>("select stored_at from ingest_mark where partition = $1 and seq = $2", [
      partition,
      seq,
    ])
  )[0]?.stored_at;

test("given the stream holds another end than was booked, when another reader begins, then it goes on behind what stands", async () => {
  const { accountId, worker, leaseId, seqs } = await threeBooked(3);
  const last = seqs[2]!;
  expect(await marksOf(3)).toEqual(seqs);
  // As after a loss that was refilled: the message at the last number came at another time than the one that was booked. The stream
  // forbids to delete what it holds, so the mark is changed in its place.
  const before = await storedAt(3, last);
  await world.query("update ingest_mark set stored_at = stored_at - 1 where partition = 3 and seq = $1", [last]);
  await killWriter();
  await eventually(async () => (await storedAt(3, last)) === before, {
    what: "the mark of the message that stands there, which was read",
    timeoutMs: 15_000,
  });
  // Those before it were not: read again, the three would have come in one batch and left one mark.
  expect(await marksOf(3)).toEqual(seqs);
  expect((await positionOf(3)).floor).toBe(last);
  await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
  await worker.confirmed(3, 4, 15_000);
  expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(940n);
}, 60_000);

test("given a stream as it was booked, when another reader begins, then it goes on behind the floor", async () => {
  const { seqs } = await threeBooked(4);
  const before = await positionOf(4);
  await killWriter();
  await eventually(async () => (await positionOf(4)).term > before.term, { what: "another reader", timeoutMs: 15_000 });
  expect((await positionOf(4)).floor).toBe(seqs[2]);
}, 60_000);

describe("the functions alone, where no reader begins meanwhile", () => {
  let database: TestDatabase;
  let admin: pg.Pool;
  const query = async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await admin.query<Row>(text, [...values])).rows;
  beforeAll(async () => {
    database = await createDatabase({ service: [{ schema, migrations }] });
    admin = new pg.Pool({ connectionString: database.adminUrl, max: 1, options: `-c search_path=${schema}` });
    admin.on("error", () => undefined);
  });
  afterAll(async () => {
    await admin.end();
    await database.drop();
  });

  test("given what a reader knows of the stream, then the position goes back as far as it must, and never forward", async () => {
    const created = "2026-11-25T10:00:00.123456789Z";
    const begin = async (stream: string, lastSeq: number, standing: number): Promise<number> => {
      const [row] = await query<{ floor: string }>(
        "select floor from begin_ingest(15::smallint, $1::timestamptz, $2::bigint, $3::bigint)",
        [stream, lastSeq, standing],
      );
      return Number(row?.floor);
    };
    const at = (floor: number) => query("update ingest_position set floor = $1 where partition = 15", [floor]);
    await begin(created, 0, 0);
    await at(50);
    expect(await begin(created, 50, 0)).toBe(50);
    expect(await begin(created, 60, 10)).toBe(50);
    expect(await begin(created, 49, 40)).toBe(40);
    // Marks of a reader that outlived a restored database.
    expect(await begin(created, 0, 45)).toBe(40);
    expect(await begin(created, 0, 0)).toBe(0);
    await at(50);
    expect(await begin("2026-11-26T10:00:00Z", 100, 50)).toBe(0);
  });

  test("given marks, then only what is booked is kept, of this stream, for half an hour, and no longer than it stands", async () => {
    const [created, other] = ["2026-11-25T11:00:00.123456789Z", "2026-11-25T12:00:00Z"];
    const keep = (seqs: readonly number[], storedAtMs: number, of = created) =>
      query("select keep_ingest_marks($1::smallint[], $2::timestamptz[], $3::bigint[], $4::bigint[])", [
        seqs.map(() => 14),
        seqs.map(() => of),
        seqs,
        seqs.map(() => storedAtMs),
      ]);
    const begin = (lastSeq: number, standing: number) =>
      query("select begin_ingest(14::smallint, $1::timestamptz, $2::bigint, $3::bigint)", [created, lastSeq, standing]);
    await begin(0, 0);
    await query("update ingest_position set floor = 30 where partition = 14");
    await keep([10, 30, 31], Date.now());
    await keep([20], Date.now(), other);
    expect(await marksOf(14, query)).toEqual([10, 30]);
    await begin(20, 10);
    expect(await marksOf(14, query)).toEqual([10]);
    await query("update ingest_mark set stored_at = stored_at - 1800001 where partition = 14 and seq = 10");
    await keep([9], Date.now());
    expect(await marksOf(14, query)).toEqual([9]);
  });
});
