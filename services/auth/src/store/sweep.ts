import { pruneInbox, type Db } from "@codex/db";
import type { Clock } from "@codex/kernel";
import type { Logger } from "@codex/runtime";
import { setTimeout as delay } from "node:timers/promises";
import type { AuthTables } from "./schema.ts";

/** Ended sessions are kept this long, so that the owner can be told about them. */
const endedSessionMs = 30 * 86_400_000;
/** The longest life of one that nobody ended, and the same again. */
const sessionMs = 60 * 86_400_000;
const demoMailMs = 86_400_000;
/** Longer than the stream keeps its events. */
const handledEventMs = 8 * 86_400_000;

/** Deletes what has run out. Idempotent; any replica may run it at any time. */
export async function sweep(db: Db<AuthTables>, now: Date): Promise<void> {
  const { kysely } = db;
  await pruneInbox(db, new Date(now.getTime() - handledEventMs));
  await kysely.deleteFrom("registration").where("expires_at", "<=", now).execute();
  await kysely.deleteFrom("link").where("expires_at", "<=", now).execute();
  await kysely.deleteFrom("challenge").where("expires_at", "<=", now).execute();
  await kysely.deleteFrom("invitation").where("expires_at", "<=", now).execute();
  await kysely
    .deleteFrom("session")
    .where(({ eb, or }) =>
      or([
        eb("ended_at", "<", new Date(now.getTime() - endedSessionMs)),
        eb("created_at", "<", new Date(now.getTime() - sessionMs)),
      ]),
    )
    .execute();
  await kysely
    .deleteFrom("demo_mail")
    .where("sent_at", "<", new Date(now.getTime() - demoMailMs))
    .execute();
}

const everyMs = 60_000;

/** Sweeps once a minute; a failure is logged and the next minute tries again. */
export function startSweeper(db: Db<AuthTables>, clock: Clock, logger: Logger): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    for (;;) {
      await delay(everyMs, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      await sweep(db, clock.now()).catch((error: unknown) => {
        logger.warn("expired rows not deleted", { error });
      });
    }
  };
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
