import { isUniqueViolation, type Db } from "@codex/db";
import { idToUuid } from "@codex/kernel";
import type { ReferralStore } from "../app/ports.ts";
import type { BonusTables } from "./schema.ts";

export function referralStore(db: Db<BonusTables>): ReferralStore {
  return {
    async claim(accountId, code) {
      const account = idToUuid(accountId);
      try {
        await db.kysely
          .insertInto("referral_code")
          .values({ account_id: account, code })
          .onConflict((conflict) => conflict.column("account_id").doNothing())
          .execute();
      } catch (error) {
        if (isUniqueViolation(error, "referral_code_code_key")) return undefined;
        throw error;
      }
      const row = await db.kysely
        .selectFrom("referral_code")
        .select(["code", "created_at"])
        .where("account_id", "=", account)
        .executeTakeFirstOrThrow();
      return { code: row.code, createdAt: row.created_at };
    },
  };
}
