import type { Db } from "@codex/db";
import { sql } from "kysely";
import type { AlarmStore } from "../app/failure-alarm.ts";
import { insertMails } from "./mail-store.ts";
import type { AuthTables } from "./schema.ts";

const operatorsMax = 100;

export function alarmStore(db: Db<AuthTables>, wake: () => void): AlarmStore {
  return {
    async raiseWave(failures, minutes, quietMs, now) {
      const raised = await db.transaction(async (trx) => {
        const { numAffectedRows } = await sql`
          insert into alarm (kind, raised_at) values ('sign_in_wave', ${now})
          on conflict (kind) do update set raised_at = excluded.raised_at
            where alarm.raised_at <= ${new Date(now.getTime() - quietMs)}`.execute(trx);
        if (numAffectedRows !== 1n) return false;
        const operators = await trx
          .selectFrom("account")
          .select(["email", "language"])
          .where("role", "in", ["support", "admin"])
          .where("blocked_at", "is", null)
          .orderBy("id")
          .limit(operatorsMax)
          .execute();
        const data = { failures: String(failures), minutes: String(minutes) };
        await insertMails(
          trx,
          operators.map((operator) => ({ kind: "sign_in_wave" as const, ...operator, data })),
          now,
        );
        return true;
      });
      if (raised) wake();
      return raised;
    },
  };
}
