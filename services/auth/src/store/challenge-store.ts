import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { Challenge, ChallengePurpose, ChallengeStore } from "../app/factor-ports.ts";
import { hashOfToken, newToken } from "../crypto/token.ts";
import { oneTimeRows } from "./one-time-rows.ts";
import type { AuthTables } from "./schema.ts";

const lifeMs = 5 * 60_000;

type Row = Selectable<AuthTables["challenge"]>;

export function challengeStore(db: Db<AuthTables>): ChallengeStore {
  const rows = oneTimeRows<Row, ChallengePurpose>(db, "challenge", "id_hash");
  const fromDb = (row: Row | undefined): Challenge | undefined =>
    row && { accountId: row.account_id === null ? undefined : uuidToId("acc", row.account_id), value: row.value };
  return {
    async put(purpose, { accountId, value }, now) {
      const id = newToken();
      await db.kysely
        .insertInto("challenge")
        .values({
          id_hash: hashOfToken(id),
          purpose,
          account_id: accountId === undefined ? null : idToUuid(accountId),
          value,
          failures: 0,
          expires_at: new Date(now.getTime() + lifeMs),
        })
        .execute();
      return id;
    },
    find: async (id, purpose, now) => fromDb(await rows.find(id, purpose, now)),
    take: async (id, purpose, now) => fromDb(await rows.take(id, purpose, now)),
    failed: (id) => rows.failed(id),
  };
}
