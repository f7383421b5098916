import type { Db } from "@codex/db";
import { idToUuid } from "@codex/kernel";
import { sql } from "kysely";
import type { AssetStore } from "../app/ports.ts";
import type { ImageTables } from "./schema.ts";

export function assetStore(db: Db<ImageTables>): AssetStore {
  return {
    async useOf(accountId, now) {
      const row = await db.kysely
        .selectFrom("asset")
        .select((eb) => [
          eb.fn.countAll<bigint>().as("images"),
          sql<bigint>`coalesce(sum(bytes), 0)::bigint`.as("bytes"),
        ])
        .where("account_id", "=", idToUuid(accountId))
        .where("expires_at", ">", now)
        .executeTakeFirstOrThrow();
      return { images: Number(row.images), bytes: Number(row.bytes) };
    },
  };
}
