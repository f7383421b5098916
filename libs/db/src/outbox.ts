import { setTimeout as delay } from "node:timers/promises";
import { sql, type ColumnType, type GeneratedAlways, type Generated, type Transaction } from "kysely";
import type pg from "pg";
import type { Migration } from "./migration.ts";
import type { Db } from "./pool.ts";

/**
 * Glossary
 *   outbox   events that were decided in a transaction and are not yet published; a row dies when it is published
 *   relay    the loop (in @codex/bus) that takes rows, publishes them, and lets the deletion commit
 *   channel  `<schema>_outbox`: the notify channel that wakes the relay at commit
 *
 * Delivery is at least once: when the commit after a publish is lost, the rows are published again under the same event id.
 * With several relays the order of events is not kept.
 */

/** Kysely row type; a service names it `outbox` in its tables. */
export interface OutboxTable {
  id: GeneratedAlways<bigint>;
  event_id: string;
  subject: string;
  payload: string;
  headers: ColumnType<Record<string, string>, string, string>;
  created_at: Generated<Date>;
}

/** What is to be published. `payload` is kept byte for byte. */
export interface OutboxMessage {
  readonly eventId: string;
  readonly subject: string;
  readonly payload: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface OutboxRow {
  readonly id: bigint;
  readonly eventId: string;
  readonly subject: string;
  readonly payload: string;
  readonly headers: Record<string, string>;
}

export interface OutboxSource {
  /**
   * Takes up to `limit` (1 to 1000) of the oldest rows that no other relay holds, in order of insertion, calls `publish`
   * once, and deletes them when it resolves; all in one transaction, so `publish` must end well within 30 s. Answers how
   * many rows were published; 0 (without a call of `publish`) when there are none. When `publish` rejects, the rows stay
   * and the error is handed on.
   */
  process(limit: number, publish: (rows: readonly OutboxRow[]) => Promise<void>): Promise<number>;
  /**
   * Calls `onNotify` when rows were committed, on a connection of its own. A lost connection is opened again for as long as
   * it takes, and `onNotify` is then called once, since a notification may have been missed. Rejects when the first
   * connection fails. The function in the answer stops it; idempotent. `onNotify` must not throw.
   */
  listen(onNotify: () => void): Promise<() => Promise<void>>;
  /** Age of the oldest unpublished row in milliseconds; 0 when there is none. */
  ageMs(): Promise<number>;
}

/** Rows of one {@link insertOutbox}. */
export const outboxInsertMax = 10_000;
const outboxProcessMax = 1_000;

const reconnectMinMs = 100;
const reconnectMaxMs = 5_000;

/** The outbox table; every service that says something adds it to its migrations under a name of its own. */
export const outboxMigration = (name: string): Migration => ({
  name,
  up: `create table outbox (
  id bigint generated always as identity primary key,
  event_id text not null constraint outbox_event_id_key unique,
  subject text not null,
  payload text not null,
  headers jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp()
)`,
});

/**
 * Adds rows within the caller's transaction and wakes the relay when it commits; a rollback leaves nothing. Throws a unique
 * violation of `outbox_event_id_key` when an unpublished row has the same event id. No rows is a no-op; at most 10,000.
 */
export async function insertOutbox<Tables>(trx: Transaction<Tables>, rows: readonly OutboxMessage[]): Promise<void> {
  if (rows.length === 0) return;
  if (rows.length > outboxInsertMax) throw new RangeError(`at most ${outboxInsertMax} outbox rows at once`);
  await sql`
    with message as (
      select * from unnest(
        ${rows.map((row) => row.eventId)}::text[],
        ${rows.map((row) => row.subject)}::text[],
        ${rows.map((row) => row.payload)}::text[],
        ${rows.map((row) => JSON.stringify(row.headers))}::text[]
      ) with ordinality as given (event_id, subject, payload, headers, position)
    ), added as (
      insert into outbox (event_id, subject, payload, headers)
      select event_id, subject, payload, headers::jsonb from message order by position
    )
    select pg_notify(current_schema() || '_outbox', '')`.execute(trx);
}

/** The relay's side of the outbox of a database; any number of relays may run at once. */
export function outboxSource<Tables>(db: Db<Tables>): OutboxSource {
  return {
    process: (limit, publish) => processBatch(db, limit, publish),
    listen: (onNotify) => listen(db, onNotify),
    ageMs: async () => {
      const { rows } = await sql<{ ms: number }>`
        select (extract(epoch from clock_timestamp() - created_at) * 1000)::float8 as ms
        from outbox order by id limit 1`.execute(db.kysely);
      return Math.max(0, rows[0]?.ms ?? 0);
    },
  };
}

async function processBatch<Tables>(
  db: Db<Tables>,
  limit: number,
  publish: (rows: readonly OutboxRow[]) => Promise<void>,
): Promise<number> {
  if (!Number.isInteger(limit) || limit < 1 || limit > outboxProcessMax) {
    throw new RangeError(`limit must be a whole number from 1 to ${outboxProcessMax}`);
  }
  // One attempt: running it again would publish again, which the relay's own back-off decides.
  return db.transaction(
    async (trx) => {
      const { rows } = await sql<OutboxRow>`
        select id, event_id as "eventId", subject, payload, headers
        from outbox order by id limit ${limit} for update skip locked`.execute(trx);
      if (rows.length === 0) return 0;
      await publish(rows);
      await sql`delete from outbox where id = any(${rows.map((row) => row.id)}::bigint[])`.execute(trx);
      return rows.length;
    },
    { attemptsMax: 1 },
  );
}

async function listen<Tables>(db: Db<Tables>, onNotify: () => void): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  const stopped = (): boolean => stopping.signal.aborted;
  let client = await openListener(db, onNotify);

  const keepListening = async (): Promise<void> => {
    let pauseMs = reconnectMinMs;
    while (!stopped()) {
      await untilClosed(client, stopping.signal);
      if (stopped()) break;
      try {
        await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: stopping.signal });
        client = await openListener(db, onNotify);
        pauseMs = reconnectMinMs;
        if (!stopped()) onNotify();
      } catch {
        // Not back yet, or stopping; the relay's polling is the floor meanwhile.
        pauseMs = Math.min(reconnectMaxMs, pauseMs * 2);
      }
    }
    await client.end().catch(() => undefined);
  };
  const running = keepListening();
  return async () => {
    stopping.abort();
    await running;
  };
}

async function openListener<Tables>(db: Db<Tables>, onNotify: () => void): Promise<ListeningClient> {
  const client = db.dedicatedClient();
  const listening: ListeningClient = {
    end: () => client.end(),
    closed: new Promise((resolve) => client.once("end", resolve)),
  };
  // The end event follows an error, and is what the loop waits for.
  client.on("error", () => undefined);
  client.on("notification", onNotify);
  try {
    await client.connect();
    // eslint-disable-next-line security/parameterised-sql -- channelOf escapes it.
    await client.query(`listen ${channelOf(client, db.schema)}`);
    return listening;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

interface ListeningClient {
  end(): Promise<void>;
  readonly closed: Promise<void>;
}

function channelOf(client: pg.Client, schema: string): string {
  return client.escapeIdentifier(`${schema}_outbox`);
}

async function untilClosed(client: ListeningClient, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => aborted.resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  await Promise.race([client.closed, aborted.promise]);
  signal.removeEventListener("abort", onAbort);
}
