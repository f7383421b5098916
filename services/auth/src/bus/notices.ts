import { eventHandler, type EventHandler } from "@codex/bus";
import { keyReported } from "@codex/contracts";
import { markHandled, type Db } from "@codex/db";
import { idToUuid, type Clock } from "@codex/kernel";
import { insertMails } from "../store/mail-store.ts";
import type { AuthTables } from "../store/schema.ts";

/** Name of the consumer at the server; replicas share it. */
export const noticesDurable = "auth-notices";

/** What other services have an owner told: here alone the address is known. Each event is one mail, however often it comes. */
export function noticeHandlers(db: Db<AuthTables>, clock: Clock, wake: () => void): readonly EventHandler[] {
  return [
    eventHandler(keyReported, async ({ accountId, prefix, foundAt }, { id }) => {
      await db.transaction(async (trx) => {
        if (!(await markHandled(trx, noticesDurable, id))) return;
        const account = await trx
          .selectFrom("account")
          .select(["email", "language"])
          .where("id", "=", idToUuid(accountId))
          .executeTakeFirst();
        if (!account) return;
        const data = { prefix, ...(foundAt === null ? {} : { foundAt }) };
        await insertMails(trx, [{ kind: "key_reported", ...account, data }], clock.now());
      });
      wake();
    }),
  ];
}
