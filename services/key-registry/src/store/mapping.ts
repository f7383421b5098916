import { uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { KeyCaps, KeyLimits, KeySettings, StoredKey } from "../app/ports.ts";
import type { ApiKeyTable } from "./schema.ts";

export function toDbSettings({ name, tags, caps, limits, models, allowedIps, expiresAt }: KeySettings) {
  return {
    name,
    tags,
    cap_daily: caps?.daily ?? null,
    cap_monthly: caps?.monthly ?? null,
    cap_total: caps?.total ?? null,
    requests_per_minute: limits?.requestsPerMinute ?? null,
    tokens_per_minute: limits?.tokensPerMinute ?? null,
    concurrent_requests: limits?.concurrentRequests ?? null,
    models,
    allowed_ips: allowedIps,
    expires_at: expiresAt,
  };
}

export function fromDbKey(row: Selectable<ApiKeyTable>): StoredKey {
  return {
    keyId: uuidToId("key", row.id),
    accountId: uuidToId("acc", row.account_id),
    name: row.name,
    environment: row.environment,
    tags: row.tags,
    displayPrefix: row.display_prefix,
    hash: row.hash.toString("hex"),
    status: row.status,
    version: row.version,
    models: row.models,
    expiresAt: row.expires_at,
    caps: fromDbCaps(row),
    limits: fromDbLimits(row),
    allowedIps: row.allowed_ips,
    lastUsedAt: row.last_used_at,
    lastUsedClient: row.last_used_client,
    replacedBy: row.replaced_by === null ? null : uuidToId("key", row.replaced_by),
    createdAt: row.created_at,
    revokedAt: row.revoked_at,
  };
}

function fromDbCaps(row: Selectable<ApiKeyTable>): KeyCaps | null {
  const { cap_daily: daily, cap_monthly: monthly, cap_total: total } = row;
  return daily === null && monthly === null && total === null ? null : { daily, monthly, total };
}

function fromDbLimits(row: Selectable<ApiKeyTable>): KeyLimits | null {
  const requestsPerMinute = row.requests_per_minute;
  const tokensPerMinute = row.tokens_per_minute;
  const concurrentRequests = row.concurrent_requests;
  const isNone = requestsPerMinute === null && tokensPerMinute === null && concurrentRequests === null;
  return isNone ? null : { requestsPerMinute, tokensPerMinute, concurrentRequests };
}
