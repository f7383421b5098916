import type { Db } from "@codex/db";
import type { Transaction } from "kysely";
import type { MailQueue } from "../app/ports.ts";
import { mailLifeMs, mailRetryMs, mailsWaitingMax, type MailIntent } from "../domain/mail.ts";
import type { AuthTables } from "./schema.ts";

export interface WaitingMail extends MailIntent {
  readonly id: bigint;
  readonly attempts: number;
}

/** Nobody else takes a mail that is being sent for this long; a sender that died gives it back by itself. */
const leaseMs = 60_000;

/** In the transaction of what the mails tell about. Beyond the bound of the queue they are dropped, never an error. */
export async function insertMails(
  on: Pick<Transaction<AuthTables>, "insertInto" | "selectFrom">,
  mails: readonly MailIntent[],
  now: Date,
): Promise<void> {
  if (mails.length === 0) return;
  const { waiting } = await on
    .selectFrom("mail_intent")
    .select(({ fn }) => fn.countAll<bigint>().as("waiting"))
    .executeTakeFirstOrThrow();
  if (Number(waiting) + mails.length > mailsWaitingMax) return;
  const expiresAt = new Date(now.getTime() + mailLifeMs);
  const rows = mails.map(({ kind, email, language, data }) => ({
    kind,
    email,
    language,
    data: JSON.stringify(data ?? {}),
    attempts: 0,
    due_at: now,
    created_at: now,
    expires_at: expiresAt,
  }));
  await on.insertInto("mail_intent").values(rows).execute();
}

export interface MailStore extends MailQueue {
  /** Leases at most `limit` mails that are due. */
  lease(limit: number, now: Date): Promise<readonly WaitingMail[]>;
  sent(id: bigint): Promise<void>;
  failed(id: bigint, attempts: number, now: Date): Promise<void>;
  /** Deletes what is too old; answers how many were never sent. */
  expire(now: Date): Promise<number>;
}

export function mailStore(db: Db<AuthTables>, wake: () => void): MailStore {
  return {
    async enqueue(mail) {
      await insertMails(db.kysely, [mail], new Date());
      wake();
    },
    async lease(limit, now) {
      const due = db.kysely
        .selectFrom("mail_intent")
        .select("id")
        .where("due_at", "<=", now)
        .where("expires_at", ">", now)
        .orderBy("id")
        .limit(limit)
        .forUpdate()
        .skipLocked();
      const rows = await db.kysely
        .updateTable("mail_intent")
        .set(({ eb }) => ({ due_at: new Date(now.getTime() + leaseMs), attempts: eb("attempts", "+", 1) }))
        .where("id", "in", due)
        .returningAll()
        .execute();
      return rows
        .toSorted((left, right) => (left.id < right.id ? -1 : 1))
        .map(({ id, kind, email, language, data, attempts }) => ({ id, kind, email, language, data, attempts }));
    },
    async sent(id) {
      await db.kysely.deleteFrom("mail_intent").where("id", "=", id).execute();
    },
    async failed(id, attempts, now) {
      const dueAt = new Date(now.getTime() + mailRetryMs(attempts));
      await db.kysely.updateTable("mail_intent").set({ due_at: dueAt }).where("id", "=", id).execute();
    },
    async expire(now) {
      const gone = await db.kysely.deleteFrom("mail_intent").where("expires_at", "<=", now).executeTakeFirst();
      return Number(gone.numDeletedRows);
    },
  };
}
