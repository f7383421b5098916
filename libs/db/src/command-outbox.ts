import { sql, type ColumnType, type Generated, type GeneratedAlways, type Transaction } from "kysely";
import type { Migration } from "./migration.ts";
import { outboxInsertMax, type OutboxMessage } from "./outbox.ts";
import type { Db } from "./pool.ts";

/**
 * Glossary
 *   command   something that another service must do once, decided in a transaction here
 *   verdict   what the other service says became of it; only then the row goes, because a broker may lose what it acknowledged
 *   refused   the other service will never do it: the row stays, for a person to look at
 *
 * See docs/adr/0016. The table is the record; `startCommandRelay` of @codex/bus sends, asks and sends again.
 */

/** Kysely row type; a service names it `command_outbox` in its tables. */
export interface CommandOutboxTable {
  id: GeneratedAlways<bigint>;
  event_id: string;
  subject: string;
  payload: string;
  headers: ColumnType<Record<string, string>, string, string>;
  created_at: Generated<Date>;
  sends: Generated<number>;
  sent_at: Date | null;
  due_at: Generated<Date>;
  refused_at: Date | null;
}

export interface CommandRow extends OutboxMessage {
  readonly id: bigint;
  /** Times it was published and acknowledged. */
  readonly sends: number;
  /** Milliseconds since the last of them; 0 when there was none. */
  readonly sentAgoMs: number;
}

/** What is to become of a row; `dueInMs`: when it is looked at again. */
export type CommandDecision =
  | { readonly id: bigint; readonly kind: "confirmed" | "refused" }
  | { readonly id: bigint; readonly kind: "sent" | "waits"; readonly dueInMs: number };

export interface CommandOutboxSource {
  /**
   * Takes up to `limit` (1 to 1000) rows that are due and that no other relay holds, the longest due first, calls `decide`
   * once, and does what it says; all in one transaction, so `decide` must end well within 30 s. A row without a decision stays
   * as it is. Answers how many rows were taken; 0 (without a call of `decide`) when none is due.
   */
  process(limit: number, decide: (rows: readonly CommandRow[]) => Promise<readonly CommandDecision[]>): Promise<number>;
  /** For gauges: rows without a verdict, the age of the oldest in milliseconds (0 when there is none), and refused rows. */
  pending(): Promise<{ readonly unconfirmed: number; readonly oldestMs: number; readonly refused: number }>;
}

const processMax = 1_000;

/** The table; a service that sends commands adds it to its migrations under a name of its own. */
export const commandOutboxMigration = (name: string): Migration => ({
  name,
  up: `create table command_outbox (
  id bigint generated always as identity primary key,
  event_id text not null constraint command_outbox_event_id_key unique,
  subject text not null,
  payload text not null,
  headers jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  sends integer not null default 0 check (sends >= 0),
  sent_at timestamptz,
  due_at timestamptz not null default clock_timestamp(),
  refused_at timestamptz,
  check ((sent_at is null) = (sends = 0))
);
create index command_outbox_due on command_outbox (due_at) where refused_at is null`,
});

/**
 * Adds commands within the caller's transaction. Throws a unique violation of `command_outbox_event_id_key` when there is a row
 * with the same event id. No rows is a no-op; at most 10,000. Nobody is woken: the relay looks each second.
 */
export async function insertCommands<Tables>(trx: Transaction<Tables>, rows: readonly OutboxMessage[]): Promise<void> {
  if (rows.length === 0) return;
  if (rows.length > outboxInsertMax) throw new RangeError(`at most ${outboxInsertMax} commands at once`);
  await sql`
    insert into command_outbox (event_id, subject, payload, headers)
    select event_id, subject, payload, headers::jsonb
    from unnest(
      ${rows.map((row) => row.eventId)}::text[],
      ${rows.map((row) => row.subject)}::text[],
      ${rows.map((row) => row.payload)}::text[],
      ${rows.map((row) => JSON.stringify(row.headers))}::text[]
    ) with ordinality as given (event_id, subject, payload, headers, position)
    order by position`.execute(trx);
}

/** The relay's side of the commands of a database; any number of relays may run at once. */
export function commandOutboxSource<Tables>(db: Db<Tables>): CommandOutboxSource {
  return {
    process: (limit, decide) => processBatch(db, limit, decide),
    pending: async () => {
      const { rows } = await sql<{ unconfirmed: number; oldestMs: number | null; refused: number }>`
        select count(*) filter (where refused_at is null)::int4 as unconfirmed,
          (extract(epoch from clock_timestamp() - min(created_at) filter (where refused_at is null)) * 1000)::float8
            as "oldestMs",
          count(refused_at)::int4 as refused
        from command_outbox`.execute(db.kysely);
      const row = rows[0];
      return {
        unconfirmed: row?.unconfirmed ?? 0,
        oldestMs: Math.max(0, row?.oldestMs ?? 0),
        refused: row?.refused ?? 0,
      };
    },
  };
}

async function processBatch<Tables>(
  db: Db<Tables>,
  limit: number,
  decide: (rows: readonly CommandRow[]) => Promise<readonly CommandDecision[]>,
): Promise<number> {
  if (!Number.isInteger(limit) || limit < 1 || limit > processMax) {
    throw new RangeError(`limit must be a whole number from 1 to ${processMax}`);
  }
  // One attempt: running it again would publish again, which the relay's own back-off decides.
  return db.transaction(
    async (trx) => {
      const { rows } = await sql<CommandRow>`
        select id, event_id as "eventId", subject, payload, headers, sends,
          coalesce(extract(epoch from clock_timestamp() - sent_at) * 1000, 0)::float8 as "sentAgoMs"
        from command_outbox where refused_at is null and due_at <= clock_timestamp()
        order by due_at, id limit ${limit} for update skip locked`.execute(trx);
      if (rows.length === 0) return 0;
      await apply(trx, await decide(rows));
      return rows.length;
    },
    { attemptsMax: 1 },
  );
}

async function apply<Tables>(trx: Transaction<Tables>, decisions: readonly CommandDecision[]): Promise<void> {
  const idsOf = (kind: CommandDecision["kind"]): bigint[] =>
    decisions.filter((decision) => decision.kind === kind).map(({ id }) => id);
  const later = decisions.flatMap((decision) => ("dueInMs" in decision ? [decision] : []));
  await sql`delete from command_outbox where id = any(${idsOf("confirmed")}::bigint[])`.execute(trx);
  await sql`update command_outbox set refused_at = clock_timestamp() where id = any(${idsOf("refused")}::bigint[])`.execute(
    trx,
  );
  await sql`
    update command_outbox as c set
      due_at = clock_timestamp() + later.due_in * interval '1 millisecond',
      sends = c.sends + later.sent::int,
      sent_at = case when later.sent then clock_timestamp() else c.sent_at end
    from unnest(
      ${later.map(({ id }) => id)}::bigint[],
      ${later.map(({ dueInMs }) => dueInMs)}::float8[],
      ${later.map(({ kind }) => kind === "sent")}::boolean[]
    ) as later (id, due_in, sent)
    where c.id = later.id`.execute(trx);
}
