import type { ChannelSnapshot } from "@codex/contracts";
import { isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import { sql, type Selectable, type Transaction } from "kysely";
import type { ChannelSet, ChannelStore } from "../app/ports.ts";
import type { ChannelTable, GatewayTables } from "./schema.ts";

export function channelStore(db: Db<GatewayTables>): ChannelStore {
  return {
    all: () => db.transaction(readAll, { isolation: "repeatable read" }),
    async create(channel) {
      try {
        return await db.transaction(async (trx) => {
          await trx
            .insertInto("channel")
            .values({
              id: idToUuid(channel.channelId),
              name: channel.name,
              kind: channel.kind,
              base_url: channel.baseUrl,
              sealed_secret: channel.sealedSecret,
              models: JSON.stringify(channel.models),
              priority: channel.priority,
              enabled: true,
            })
            .execute();
          await trx
            .updateTable("channel_version")
            .set({ version: sql`version + 1` })
            .execute();
          return readAll(trx);
        });
      } catch (error) {
        if (isUniqueViolation(error)) return undefined;
        throw error;
      }
    },
  };
}

async function readAll(trx: Transaction<GatewayTables>): Promise<ChannelSet> {
  const { version } = await trx.selectFrom("channel_version").select("version").executeTakeFirstOrThrow();
  const rows = await trx.selectFrom("channel").selectAll().orderBy("name").limit(500).execute();
  return { version: Number(version), channels: rows.map(fromDbChannel) };
}

function fromDbChannel(row: Selectable<ChannelTable>): ChannelSnapshot {
  return {
    channelId: uuidToId("chn", row.id),
    name: row.name,
    kind: row.kind,
    baseUrl: row.base_url,
    sealedSecret: row.sealed_secret,
    models: row.models,
    priority: row.priority,
    enabled: row.enabled,
  };
}
