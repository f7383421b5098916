import type { Dispute, DisputeEvent } from "../app/dispute-ports.ts";
import type { DbMoney } from "./command-answer.ts";

/** Rows of operations as the service reads them; the functions of the migrations write them. */

export interface OperatorProposalTable {
  id: string;
  kind: "adjustment" | "refund" | "dispute";
  account_id: string;
  bucket: "paid" | "bonus" | null;
  amount: bigint;
  request_id: string | null;
  dispute_id: string | null;
  reason: string;
  ticket: string;
  maker: string;
  state: "proposed" | "approved" | "rejected" | "expired" | "cancelled";
  decider: string | null;
  decision_reason: string | null;
  transfer_id: string | null;
  created_at: Date;
  expires_at: Date;
  decided_at: Date | null;
}

export interface OperatorActTable {
  id: string;
  actor: string;
  act: string;
  account_id: string;
  target: string;
  amount: bigint | null;
  reason: string;
  ticket: string | null;
  before: DbMoney | null;
  after: DbMoney | null;
  at: Date;
}

export interface UsageRefundTable {
  account_id: string;
  request_id: string;
  number: number;
  refunded_after: bigint;
}

export interface DisputeTable {
  id: string;
  account_id: string;
  request_id: string;
  reason: Dispute["reason"];
  state: Dispute["state"];
  assignee: string | null;
  refunded: bigint | null;
  transfer_id: string | null;
  opened_at: Date;
  due_at: Date;
  resolved_at: Date | null;
}

export interface DisputeEventTable {
  dispute_id: string;
  number: number;
  kind: DisputeEvent["kind"];
  by_kind: DisputeEvent["by"];
  actor: string | null;
  text: string | null;
  amount: bigint | null;
  at: Date;
}

export interface OperationTables {
  operator_proposal: OperatorProposalTable;
  operator_act: OperatorActTable;
  usage_refund: UsageRefundTable;
  dispute: DisputeTable;
  dispute_event: DisputeEventTable;
}
