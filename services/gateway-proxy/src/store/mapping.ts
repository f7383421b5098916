import type { ChannelAct } from "@codex/contracts";
import { idToUuid, uuidToId, type ChannelId } from "@codex/kernel";
import type { Insertable, Selectable, Updateable } from "kysely";
import type { ChannelSettings, NewKey, StoredChannel, StoredKey } from "../app/ports.ts";
import type { ActTable, ChannelTable, KeyTable } from "./schema.ts";

/** Between rows and what the application calls them. */

export function fromDbChannel(row: Selectable<ChannelTable>, keys: readonly StoredKey[]): StoredChannel {
  return {
    channelId: uuidToId("chn", row.id),
    version: row.version,
    name: row.name,
    kind: row.kind,
    baseUrl: row.base_url,
    egress: row.egress,
    apiVersion: row.api_version,
    models: row.models,
    priority: row.priority,
    weight: row.weight,
    state: row.state,
    firstByteTimeoutMs: row.first_byte_timeout_ms,
    betweenBytesTimeoutMs: row.between_bytes_timeout_ms,
    concurrencyMax: row.concurrency_max,
    dailyBudgetMicroTokens: row.daily_budget_micro_tokens,
    dailyRequestsMax: row.daily_requests_max,
    keys,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function fromDbKey(row: Selectable<KeyTable>): StoredKey {
  return {
    keyId: uuidToId("upk", row.id),
    label: row.label,
    enabled: row.enabled,
    sealedSecret: row.sealed_secret,
    wrappedKey: row.wrapped_key,
    keyVersion: row.key_version,
    createdAt: row.created_at,
  };
}

export function toDbKey(channelId: ChannelId, key: NewKey): Insertable<KeyTable> {
  return {
    id: idToUuid(key.keyId),
    channel_id: idToUuid(channelId),
    label: key.label,
    sealed_secret: key.sealedSecret,
    wrapped_key: key.wrappedKey,
    key_version: key.keyVersion,
  };
}

/** Only the columns of fields that are given. */
export function toDbSettings(settings: Partial<ChannelSettings>): Updateable<ChannelTable> {
  const columns: { [Column in keyof Updateable<ChannelTable>]: Updateable<ChannelTable>[Column] | undefined } = {
    name: settings.name,
    base_url: settings.baseUrl,
    egress: settings.egress,
    api_version: settings.apiVersion,
    models: settings.models === undefined ? undefined : JSON.stringify(settings.models),
    priority: settings.priority,
    weight: settings.weight,
    first_byte_timeout_ms: settings.firstByteTimeoutMs,
    between_bytes_timeout_ms: settings.betweenBytesTimeoutMs,
    concurrency_max: settings.concurrencyMax,
    daily_budget_micro_tokens: settings.dailyBudgetMicroTokens,
    daily_requests_max: settings.dailyRequestsMax,
  };
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined));
}

export function fromDbAct(row: Selectable<ActTable>): ChannelAct {
  return {
    actId: uuidToId("act", row.id),
    actorId: row.actor_id === null ? null : uuidToId("acc", row.actor_id),
    act: row.act,
    channelId: row.channel_id === null ? null : uuidToId("chn", row.channel_id),
    channelName: row.channel_name,
    change: { ...row.change },
    at: row.at.toISOString(),
  };
}
