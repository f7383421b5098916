import { sql, type Generated, type Transaction } from "kysely";
import type { Migration } from "./migration.ts";
import type { Db } from "./pool.ts";

/** Kysely row type; a service names it `inbox` in its tables. */
export interface InboxTable {
  consumer: string;
  event_id: string;
  handled_at: Generated<Date>;
}

/** The ids that consumers have handled; every service that consumes adds it to its migrations under a name of its own. */
export const inboxMigration = (name: string): Migration => ({
  name,
  up: `create table inbox (
  consumer text not null,
  event_id text not null,
  handled_at timestamptz not null default clock_timestamp(),
  primary key (consumer, event_id)
);
create index inbox_handled_at on inbox (handled_at)`,
});

/**
 * Notes within the caller's transaction that the consumer handles this event: true the first time, false when it was handled
 * before. Of two at once the second waits: it gets false when the first commits, true when the first rolls back. So the
 * event's effect, done in the same transaction only on true, happens exactly once.
 */
export async function markHandled<Tables>(
  trx: Transaction<Tables>,
  consumer: string,
  eventId: string,
): Promise<boolean> {
  const result = await sql`
    insert into inbox (consumer, event_id) values (${consumer}, ${eventId})
    on conflict do nothing`.execute(trx);
  return result.numAffectedRows === 1n;
}

const pruneMax = 10_000;

/**
 * Forgets up to 10,000 ids handled before `before` and answers how many. Keep ids for longer than the stream keeps its
 * events, or an old event that is delivered again has its effect again.
 */
export async function pruneInbox<Tables>(db: Db<Tables>, before: Date): Promise<number> {
  const result = await sql`
    delete from inbox where (consumer, event_id) in (
      select consumer, event_id from inbox where handled_at < ${before} order by handled_at limit ${pruneMax}
      for update skip locked
    )`.execute(db.kysely);
  return Number(result.numAffectedRows ?? 0n);
}
