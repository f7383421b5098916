import type { Db } from "@codex/db";
import { idToUuid } from "@codex/kernel";
import { sql } from "kysely";
import type { AccountBlockStore } from "../app/block-account.ts";
import type { Tables } from "./schema.ts";

export function createAccountBlockStore(db: Db<Tables>): AccountBlockStore {
  return {
    setBlocked: async (accountId, blocked, at) => {
      const { rows } = await sql<{ changed: boolean }>`
        select set_account_block(${idToUuid(accountId)}::uuid, ${blocked}, ${at}::timestamptz) as changed`.execute(
        db.kysely,
      );
      return rows[0]?.changed === true;
    },
  };
}
