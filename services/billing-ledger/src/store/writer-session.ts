import { setTimeout as delay } from "node:timers/promises";
import { prepared, sqlState, type Db } from "@codex/db";
import { sql, type Kysely, type Transaction } from "kysely";
import {
  RejectedBatch,
  type AsideReason,
  type AsideRecord,
  type BatchOutcome,
  type IngestMark,
  type ReadPosition,
  type StreamState,
  type UsageBatch,
  type WriterSession,
} from "../app/ports.ts";
import { toCount, toDbQuarantine } from "./mapping.ts";
import { resolving } from "./quarantine-store.ts";
import type { Tables } from "./schema.ts";
import { toDbPositions, toDbUsageArrays } from "./usage-arrays.ts";

/**
 * Glossary
 *   session   one connection, taken from the pool for as long as it lives, that holds advisory locks
 *   claim     the advisory lock of one partition; it is held by the connection that writes, so a dead writer owns nothing
 *   presence  a shared advisory lock that every session holds; counting its holders is counting the sessions
 */

/** "bill": the first key of our two-part advisory locks. The second is the partition, or {@link presenceKey}. */
const lockClass = 0x62_69_6c_6c;
const presenceKey = 1_000;

const attemptsMax = 3;

/**
 * A machine that vanishes closes no connection. With this the server finds out within about four seconds and frees the claims;
 * without, a stock Linux keeps them for two hours.
 */
const noticeVanishedPeer = sql`
  select set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1', false),
    set_config('tcp_keepalives_count', '2', false), set_config('tcp_user_timeout', '4000', false)`;

interface AppliedJson {
  inserted: number;
  duplicates: number;
  quarantined: number;
  settled: string;
  writtenOff: string;
  suspects: { index: number; reason: AsideReason }[];
  chargeMismatches: number;
  workerMismatches: number;
}

/** Takes a connection and registers its presence. Rejects when no connection can be had. */
export async function openWriterSession(db: Db<Tables>): Promise<WriterSession> {
  const opened = Promise.withResolvers<Kysely<Tables>>();
  const closing = Promise.withResolvers<undefined>();
  const held = db.kysely.connection().execute(async (connection) => {
    await noticeVanishedPeer.execute(connection);
    await sql`select pg_advisory_lock_shared(${lockClass}::integer, ${presenceKey}::integer)`.execute(connection);
    opened.resolve(connection);
    await closing.promise;
  });
  held.catch(opened.reject);
  const connection = await opened.promise;
  return new PostgresWriterSession(connection, async () => {
    closing.resolve(undefined);
    await held;
  });
}

class PostgresWriterSession implements WriterSession {
  private readonly connection: Kysely<Tables>;
  private readonly giveBack: () => Promise<void>;
  private readonly claimed = new Set<number>();
  /** One transaction at a time: the partitions of a session share its connection. */
  private queue: Promise<unknown> = Promise.resolve();
  private closed: Promise<void> | undefined;

  constructor(connection: Kysely<Tables>, giveBack: () => Promise<void>) {
    this.connection = connection;
    this.giveBack = giveBack;
  }

  async claim(partition: number): Promise<boolean> {
    return this.alone(async () => {
      // Advisory locks count: taking one twice would need two releases.
      if (this.claimed.has(partition)) return true;
      const { rows } = await sql<{ taken: boolean }>`
        select pg_try_advisory_lock(${lockClass}::integer, ${partition}::integer) as taken`.execute(this.connection);
      if (rows[0]?.taken !== true) return false;
      this.claimed.add(partition);
      return true;
    });
  }

  async release(partition: number): Promise<void> {
    await this.alone(async () => {
      if (!this.claimed.delete(partition)) return;
      await sql`select pg_advisory_unlock(${lockClass}::integer, ${partition}::integer)`.execute(this.connection);
    });
  }

  async beginReading(partition: number, stream: StreamState): Promise<ReadPosition> {
    return this.alone(async () => {
      // Without the lock somebody else reads: two would refuse each other's batches in turn.
      if (!this.claimed.has(partition)) throw new Error(`partition ${String(partition)} is not claimed`);
      const { rows } = await sql<{ term: bigint; floor: bigint }>`
        select term, floor from begin_ingest(${partition}::smallint, ${stream.created}::timestamptz,
          ${stream.lastSeq}::bigint, ${stream.standing}::bigint)`.execute(this.connection);
      const row = rows[0];
      if (!row) throw new Error("begin_ingest answered nothing");
      return { term: row.term, floor: toCount(row.floor) };
    });
  }

  async marks(partition: number, created: string): Promise<readonly IngestMark[]> {
    return this.alone(async () => {
      const { rows } = await sql<{ seq: bigint; stored_at: bigint }>`
        select seq, stored_at from ingest_mark
        where partition = ${partition}::smallint and stream_created = ${created}::timestamptz
        order by seq`.execute(this.connection);
      return rows.map((row) => ({ partition, created, seq: toCount(row.seq), storedAtMs: toCount(row.stored_at) }));
    });
  }

  async keepMarks(marks: readonly IngestMark[]): Promise<void> {
    if (marks.length === 0) return;
    await this.alone(async () => {
      await sql`select keep_ingest_marks(${marks.map(({ partition }) => partition)}::smallint[],
        ${marks.map(({ created }) => created)}::timestamptz[], ${marks.map(({ seq }) => seq)}::bigint[],
        ${marks.map(({ storedAtMs }) => storedAtMs)}::bigint[])`.execute(this.connection);
    });
  }

  async sessions(): Promise<number> {
    return this.alone(async () => {
      const { rows } = await sql<{ count: number }>`
        select count(*)::integer as count from pg_locks
        where locktype = 'advisory' and granted and classid = ${lockClass}::bigint and objid = ${presenceKey}::bigint
          and objsubid = 2 and database = (select oid from pg_database where datname = current_database())`.execute(
        this.connection,
      );
      return rows[0]?.count ?? 1;
    });
  }

  async applyBatch(batch: UsageBatch): Promise<BatchOutcome> {
    return this.alone(async () => {
      // One statement, its own transaction: a third of the ways there and back. Hardly any batch has suspects.
      let alone = batch.resolving === undefined;
      for (let attempt = 1; ; attempt += 1) {
        try {
          if (alone) return (await apply(this.connection, batch, true)).outcome;
          return await this.connection
            .transaction()
            .execute((trx) => resolving(trx, batch, () => applyWithSuspects(trx, batch)));
        } catch (error) {
          const state = sqlState(error) ?? "";
          if (alone && state === suspectsRefused) {
            alone = false;
            continue;
          }
          if (isContent(state)) throw new RejectedBatch(error);
          if (!/^40(001|P01)$/.test(state) || attempt >= attemptsMax) throw error;
        }
        await delay(Math.random() * 50 * attempt);
      }
    });
  }

  close(): Promise<void> {
    return (this.closed ??= this.alone(async () => {
      try {
        await sql`select pg_advisory_unlock_all()`.execute(this.connection);
      } catch {
        // A connection that cannot let go of its locks must not go back into the pool. When it is dead already, this fails too.
        await sql`select pg_terminate_backend(pg_backend_pid())`.execute(this.connection).catch(() => undefined);
      }
      await this.giveBack().catch(() => undefined);
    }));
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.queue.then(work, work);
    this.queue = next.catch(() => undefined);
    return next;
  }
}

/** SQLSTATE classes 22 (data), 23 (integrity) and P0 (raised by our functions): the content is at fault, not the moment. */
function isContent(state: string): boolean {
  return state.startsWith("22") || state.startsWith("23") || state.startsWith("P0");
}

/** Of `apply_batch`: it was told to have no suspects, and there are some. */
const suspectsRefused = "CX003";

async function apply(
  connection: Kysely<Tables>,
  batch: UsageBatch,
  refuseSuspects: boolean,
): Promise<{ outcome: BatchOutcome; suspects: AppliedJson["suspects"] }> {
  const quarantine = JSON.stringify(batch.aside.map((aside) => toDbQuarantine(aside)));
  const { rows } = await sql<{ applied: AppliedJson }>`${prepared("apply_batch")}
    select apply_batch(${toDbPositions(batch.positions)}, ${toDbUsageArrays(batch.records)}, ${quarantine}::json,
      ${batch.firstStreamSeq}::bigint, ${batch.lastStreamSeq}::bigint, ${refuseSuspects}::boolean) as applied`.execute(
    connection,
  );
  const applied = rows[0]?.applied;
  if (!applied) throw new Error("apply_batch answered nothing");
  return {
    suspects: applied.suspects,
    outcome: {
      inserted: applied.inserted,
      duplicates: applied.duplicates,
      aside: applied.quarantined > 0 ? batch.aside : [],
      settled: BigInt(applied.settled),
      writtenOff: BigInt(applied.writtenOff),
      chargeMismatches: applied.chargeMismatches,
      workerMismatches: applied.workerMismatches,
    },
  };
}

async function applyWithSuspects(trx: Transaction<Tables>, batch: UsageBatch): Promise<BatchOutcome> {
  const { outcome, suspects } = await apply(trx, batch, false);
  return { ...outcome, aside: [...outcome.aside, ...(await quarantineSuspects(trx, batch, suspects))] };
}

const suspectErrors: Readonly<Partial<Record<AsideReason, string>>> = {
  conflict: "another payload was booked under this number",
  unknown_epoch: "this epoch was never issued",
  archived_epoch: "the epoch is archived and its watermark does not cover this number",
};

/** What the ledger would not take: kept with the record as it came. Answers the new ones. */
async function quarantineSuspects(
  trx: Transaction<Tables>,
  batch: UsageBatch,
  suspects: AppliedJson["suspects"],
): Promise<readonly AsideRecord[]> {
  const stored: AsideRecord[] = [];
  for (const suspect of suspects) {
    const spooled = batch.records[suspect.index]?.spooled;
    if (!spooled) continue;
    const aside: AsideRecord = {
      epoch: spooled.epoch,
      partition: spooled.partition,
      seq: spooled.record.seq,
      payloadHash: spooled.payloadHash,
      reason: suspect.reason,
      error: suspectErrors[suspect.reason] ?? suspect.reason,
      raw: spooled.raw,
      streamSeq: spooled.streamSeq,
    };
    const result = await trx
      .insertInto("quarantine")
      .values({
        epoch: BigInt(spooled.epoch),
        partition: spooled.partition,
        seq: BigInt(spooled.record.seq),
        payload_hash: spooled.payloadHash,
        reason: aside.reason,
        error: aside.error,
        raw: aside.raw,
        stream_seq: BigInt(spooled.streamSeq),
        resolved_at: null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (result.numInsertedOrUpdatedRows === 1n) stored.push(aside);
  }
  return stored;
}
