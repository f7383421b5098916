import type { ChannelEgress, ChannelKind, ChannelState } from "@codex/contracts";
import type { ColumnType, Generated } from "kysely";

/** Columns of `gateway.upstream_channel`. */
export interface ChannelTable {
  readonly id: string;
  readonly version: Generated<number>;
  readonly name: string;
  readonly kind: ChannelKind;
  readonly base_url: string;
  readonly egress: ChannelEgress;
  readonly api_version: string | null;
  /** Public model name → name at the upstream. */
  readonly models: ColumnType<Readonly<Record<string, string>>, string, string>;
  readonly priority: number;
  readonly weight: number;
  readonly state: ChannelState;
  readonly first_byte_timeout_ms: number | null;
  readonly between_bytes_timeout_ms: number | null;
  readonly concurrency_max: number | null;
  readonly daily_budget_micro_tokens: bigint | null;
  readonly daily_requests_max: number | null;
  readonly created_at: Generated<Date>;
  readonly updated_at: Generated<Date>;
}

/** Columns of `gateway.upstream_key`. The secret and its data key are envelopes of upstream/envelope.ts, never plaintext. */
export interface KeyTable {
  readonly id: string;
  readonly channel_id: string;
  readonly label: string;
  readonly sealed_secret: string;
  readonly wrapped_key: string | null;
  readonly key_version: number;
  readonly enabled: Generated<boolean>;
  readonly created_at: Generated<Date>;
}

/** Columns of `gateway.channel_act`: append only. */
export interface ActTable {
  readonly id: string;
  /** Null: the gateway itself. */
  readonly actor_id: string | null;
  readonly act: string;
  readonly channel_id: string | null;
  readonly channel_name: string | null;
  readonly change: ColumnType<Readonly<Record<string, unknown>>, string, string>;
  readonly at: Generated<Date>;
}

/** One row: grows with each change of any channel, so that snapshots have an order. */
export interface ChannelVersionTable {
  readonly singleton: Generated<boolean>;
  readonly version: bigint;
}

export interface GatewayTables {
  upstream_channel: ChannelTable;
  upstream_key: KeyTable;
  channel_act: ActTable;
  channel_version: ChannelVersionTable;
}

export const gatewaySchema = "gateway";
