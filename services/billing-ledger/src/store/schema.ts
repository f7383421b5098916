import type { OutboxTable } from "@codex/db";
import type { ColumnType, Generated } from "kysely";
import type { OperationTables } from "./operation-tables.ts";

/** The only schema this service reads and writes. Written by name into the functions of the migrations. */
export const schema = "billing";

/** Rows as the service reads them. What only the functions of the migrations touch is left out. */

export interface BalanceTable {
  account_id: string;
  account_no: number;
  paid_account_id: string;
  bonus_account_id: string;
  paid: bigint;
  bonus: bigint;
  reserved: bigint;
  version: bigint;
  frozen_at: Date | null;
  updated_at: Date;
}

export interface TransferTable {
  id: string;
  kind: "usage" | "write_off" | "grant";
  debit_account_id: string;
  credit_account_id: string;
  amount: bigint;
  batch_id: bigint | null;
  reason: string | null;
  created_at: Date;
}

/** The view of the requests; what it stands on is read by `apply_batch` alone. */
export interface UsageLineView {
  account_no: number;
  epoch: bigint;
  seq: bigint;
  partition: number;
  batch_id: bigint;
  account_id: string;
  request_id: string;
  key_id: string;
  route: string;
  model: string;
  status: "ok" | "client_closed" | "upstream_error" | "upstream_cut" | "abandoned";
  http_status: number;
  error_code: string | null;
  streamed: boolean;
  estimated: boolean;
  price_group: string;
  /** Null when no picture was made; then the variant is null as well. */
  image_count: bigint | null;
  image_variant: string | null;
  audio_ms: bigint;
  tokens_input: bigint;
  tokens_cached_input: bigint;
  tokens_cache_write: bigint;
  tokens_cache_write_1h: bigint;
  tokens_output: bigint;
  tokens_reasoning: bigint;
  price_version: string;
  hold: bigint;
  charged: bigint;
  started_at: Date;
  first_byte_ms: bigint | null;
  duration_ms: bigint;
}

export interface IngestBatchTable {
  id: bigint;
  created_at: Date;
}

export interface GatewayCursorTable {
  epoch: bigint;
  partition: number;
  contiguous: bigint;
}

export interface IngestPositionTable {
  partition: number;
  stream_created: Date;
  floor: bigint;
}

export interface QuarantineTable {
  id: Generated<bigint>;
  epoch: bigint | null;
  partition: number;
  seq: bigint | null;
  payload_hash: bigint;
  reason: string;
  error: string;
  raw: string;
  stream_seq: bigint;
  created_at: Generated<Date>;
  resolved_at: Date | null;
}

export interface PriceVersionTable {
  id: string;
  effective_at: ColumnType<Date, never, never>;
  content_hash: Buffer;
  groups: unknown;
  created_by: string | null;
  created_at: Date;
}

export interface PriceVersionCancelledTable {
  price_version: string;
  cancelled_at: Date;
}

export interface PriceCommandTable {
  key: string;
  input_hash: Buffer;
  price_version: string;
  created: boolean;
}

export interface PriceRowTable {
  price_version: string;
  model: string;
  display_name: string;
  context_tokens: bigint;
  output_tokens_max: bigint;
  rate_input: bigint;
  rate_cached_input: bigint;
  rate_cache_write: bigint;
  rate_output: bigint;
  rate_reasoning: bigint;
  /** Null in versions of before the class. */
  rate_cache_write_1h: bigint | null;
  per_request: bigint;
  per_audio_second: bigint;
  /** The next three: JSON in the contract's wire form. */
  per_image: unknown;
  tiers: unknown;
  off_peak: unknown;
}

interface CommandVerdictTable {
  event_id: string;
  verdict: "applied" | "refused" | "waiting";
  at: Generated<Date>;
}

export interface Tables extends OperationTables {
  balance: BalanceTable;
  transfer: TransferTable;
  usage_line: UsageLineView;
  ingest_batch: IngestBatchTable;
  gateway_cursor: GatewayCursorTable;
  ingest_position: IngestPositionTable;
  quarantine: QuarantineTable;
  command_verdict: CommandVerdictTable;
  price_version: PriceVersionTable;
  live_price_version: PriceVersionTable;
  price_version_cancelled: PriceVersionCancelledTable;
  price_command: PriceCommandTable;
  price_row: PriceRowTable;
  outbox: OutboxTable;
}
