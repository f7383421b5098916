import { recordActs } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import type { Transaction } from "kysely";
import type { ActDraft } from "../app/factor-ports.ts";
import type { AuthTables } from "./schema.ts";

/** Adds a line to the audit log, in the transaction of what it tells about; to be called last (see `recordActs`). */
export function recordAct(trx: Transaction<AuthTables>, draft: ActDraft, now: Date): Promise<void> {
  const { actorId, action, accountId, reason } = draft;
  return recordActs(trx, [
    {
      id: idToUuid(newId("act")),
      actorId: actorId === null ? null : idToUuid(actorId),
      action,
      accountId: accountId === null ? null : idToUuid(accountId),
      target: null,
      reason,
      at: now,
    },
  ]);
}
