import { markHandled, type Db } from "@codex/db";
import { idToUuid, type Clock } from "@codex/kernel";
import type { NoticeStore } from "../app/ports.ts";
import { insertMails } from "./mail-store.ts";
import type { AuthTables } from "./schema.ts";

const consumer = "auth-notices";

export function noticeStore(db: Db<AuthTables>, clock: Clock, wake: () => void): NoticeStore {
  return {
    async tell(eventId, accountId, kind, data) {
      await db.transaction(async (trx) => {
        if (!(await markHandled(trx, consumer, eventId))) return;
        const account = await trx
          .selectFrom("account")
          .select(["email", "language"])
          .where("id", "=", idToUuid(accountId))
          .executeTakeFirst();
        if (account) await insertMails(trx, [{ kind, ...account, data }], clock.now());
      });
      wake();
    },
  };
}
