import type { ColumnType, Generated } from "kysely";

/** Columns of `gateway.channel`. The secret is an envelope of upstream/envelope.ts, never plaintext. */
export interface ChannelTable {
  readonly id: string;
  readonly name: string;
  readonly kind: "openai" | "demo";
  readonly base_url: string;
  readonly sealed_secret: string | null;
  /** Public model name → name at the upstream. */
  readonly models: ColumnType<Readonly<Record<string, string>>, string, string>;
  readonly priority: number;
  readonly enabled: boolean;
  readonly created_at: Generated<Date>;
  readonly updated_at: Generated<Date>;
}

/** One row: grows with each change of any channel, so that snapshots have an order. */
export interface ChannelVersionTable {
  readonly singleton: Generated<boolean>;
  readonly version: bigint;
}

export interface GatewayTables {
  channel: ChannelTable;
  channel_version: ChannelVersionTable;
}

export const gatewaySchema = "gateway";
