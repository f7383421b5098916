import type { Generated } from "kysely";
import type { KeyClient } from "@codex/contracts";
import type { AuditActTable, OutboxTable } from "@codex/db";
import type { KeyEnvironment } from "@codex/kernel";

/** Columns of `keys.api_key`. The key itself is nowhere: its hash finds it, its prefix lets the owner recognise it. */
export interface ApiKeyTable {
  readonly id: string;
  readonly account_id: string;
  readonly name: string;
  readonly environment: KeyEnvironment;
  readonly tags: readonly string[];
  readonly display_prefix: string;
  /** SHA-256 of the full key, 32 bytes. */
  readonly hash: Buffer;
  readonly status: "active" | "revoked";
  /** Grows with each change; receivers keep the highest. */
  readonly version: number;
  readonly models: readonly string[] | null;
  readonly expires_at: Date | null;
  /** Micro-tokens; null = no limit in this window. */
  readonly cap_daily: bigint | null;
  readonly cap_monthly: bigint | null;
  readonly cap_total: bigint | null;
  /** Null = the operator's limit. */
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly concurrent_requests: number | null;
  /** Addresses and CIDR ranges; null = from everywhere. */
  readonly allowed_ips: readonly string[] | null;
  /** The beginning of the hour; not part of `version`, because gateways need not know. */
  readonly last_used_at: Date | null;
  readonly last_used_client: KeyClient | null;
  readonly replaced_by: string | null;
  /** For being shown again; gone with the revocation. Both null or neither. */
  readonly sealed_secret: string | null;
  readonly data_key_id: string | null;
  readonly created_at: Generated<Date>;
  readonly revoked_at: Date | null;
}

/** Columns of `keys.data_key`: one an account, wrapped by the master key of this version. */
export interface DataKeyTable {
  readonly id: string;
  readonly account_id: string;
  readonly wrapped_key: string;
  readonly master_version: number;
  readonly created_at: Generated<Date>;
}

/** Columns of `keys.key_act`: by it the showings of an hour are counted. The audit log is `audit_act`. */
export interface KeyActTable {
  readonly id: string;
  readonly account_id: string;
  readonly key_id: string;
  readonly act: "shown";
  readonly at: Generated<Date>;
}

export interface KeyTables {
  api_key: ApiKeyTable;
  data_key: DataKeyTable;
  key_act: KeyActTable;
  audit_act: AuditActTable;
  outbox: OutboxTable;
}

export const keysSchema = "keys";
