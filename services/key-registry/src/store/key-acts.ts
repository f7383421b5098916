import type { KeyAction } from "@codex/contracts";
import { recordActs } from "@codex/db";
import { idToUuid, newId, type AccountId, type KeyId } from "@codex/kernel";
import type { Transaction } from "kysely";
import type { KeySettings, StoredKey } from "../app/ports.ts";
import type { KeyTables } from "./schema.ts";

export interface KeyActDraft {
  readonly action: KeyAction;
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  /** Null: the service, on somebody's report. */
  readonly actorId: AccountId | null;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Lines of the audit log, in the transaction of what they tell about; to be called last (see `recordActs`). */
export function recordKeyActs(trx: Transaction<KeyTables>, drafts: readonly KeyActDraft[]): Promise<void> {
  return recordActs(
    trx,
    drafts.map(({ action, keyId, accountId, actorId, details }) => ({
      id: idToUuid(newId("act")),
      actorId: actorId === null ? null : idToUuid(actorId),
      action,
      accountId: idToUuid(accountId),
      target: keyId,
      details: details ?? {},
    })),
  );
}

/** Of a line that its owner did. */
export function byOwner(
  action: KeyAction,
  { keyId, accountId }: Pick<StoredKey, "keyId" | "accountId">,
  details: Readonly<Record<string, unknown>> = {},
): KeyActDraft {
  return { action, keyId, accountId, actorId: accountId, details };
}

/**
 * Settings as the log keeps them, which is for ever: the owner's own words, addresses and lists by how many there are, everything
 * else by its value.
 */
export function settingsForLog(settings: Partial<KeySettings>): Record<string, unknown> {
  const { name, tags, caps, limits, models, allowedIps, expiresAt } = settings;
  return {
    ...(name === undefined ? {} : { name: "set" }),
    ...(tags === undefined ? {} : { tags: tags.length }),
    ...(caps === undefined ? {} : { capsMicroTokens: caps && amounts(caps) }),
    ...(limits === undefined ? {} : { limits }),
    ...(models === undefined ? {} : { models: models && models.length }),
    ...(allowedIps === undefined ? {} : { allowedIps: allowedIps && allowedIps.length }),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt && expiresAt.toISOString() }),
  };
}

function amounts(caps: object): Record<string, string | null> {
  return Object.fromEntries(
    Object.entries(caps).map(([window, amount]) => [window, amount === null ? null : String(amount)]),
  );
}

/** The settings of a new key that restrict it. */
export function restrictionsForLog({ environment, ...settings }: KeySettings & Pick<StoredKey, "environment">) {
  const { caps, limits, models, allowedIps, expiresAt } = settings;
  const restricted = Object.entries(settingsForLog({ caps, limits, models, allowedIps, expiresAt })).filter(
    ([, value]) => value !== null,
  );
  return { environment, ...Object.fromEntries(restricted) };
}
