import type { CredentialAction } from "@codex/contracts";
import { recordActs } from "@codex/db";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import type { Transaction } from "kysely";
import type { ActDraft } from "../app/factor-ports.ts";
import type { AuthTables } from "./schema.ts";

/** Adds a line to the audit log, in the transaction of what it tells about; to be called last (see `recordActs`). */
export function recordAct(trx: Transaction<AuthTables>, draft: ActDraft, now: Date): Promise<void> {
  const { actorId, action, accountId, reason, details } = draft;
  return recordActs(trx, [
    {
      id: idToUuid(newId("act")),
      actorId: actorId === null ? null : idToUuid(actorId),
      action,
      accountId: accountId === null ? null : idToUuid(accountId),
      target: null,
      reason,
      ...(details === undefined ? {} : { details }),
      at: now,
    },
  ]);
}

/** A line about what the owner of an account did with what protects it; never with the address or a word of the credential. */
export function recordOwn(
  trx: Transaction<AuthTables>,
  accountId: AccountId,
  action: CredentialAction,
  at?: Date,
): Promise<void> {
  const account = idToUuid(accountId);
  const line = { id: idToUuid(newId("act")), actorId: account, action, accountId: account, target: null };
  return recordActs(trx, [at === undefined ? line : { ...line, at }]);
}
