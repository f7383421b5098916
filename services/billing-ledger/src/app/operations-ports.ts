import type { OperatorAct, Proposal } from "@codex/contracts";
import type { AccountId, DisputeId, MicroTokens, ProposalId, RequestId, TransferId } from "@codex/kernel";

/**
 * What operators and users do with money by command. Every command is one transaction, idempotent by key and input hash:
 * the same again gets the stored result, another input `key_reused`, and of a race one wins and both get its result.
 */

export interface Command {
  /** `<operation>:<who>:<the caller's key>`, at most 200 characters. */
  readonly key: string;
  /** SHA-256 of everything that must be equal for a repeat. */
  readonly inputHash: Uint8Array;
}

/** Nothing was written, so the same key may be tried again; `key_reused` alone is for ever. */
export type Refusal =
  | {
      readonly refused:
        | "key_reused"
        | "not_found"
        | "own_account"
        | "own_proposal"
        | "expired"
        | "under_review"
        | "assigned_to_other"
        | "window_closed"
        | "too_many_messages"
        | "too_many_open";
    }
  | { readonly refused: "insufficient_balance"; readonly debitable: MicroTokens }
  | { readonly refused: "exceeds_charge"; readonly refundable: MicroTokens }
  | { readonly refused: "already_decided" | "not_open"; readonly state: string }
  | { readonly refused: "already_open"; readonly disputeId: DisputeId };

export type Outcome<T> =
  { readonly ok: true; readonly replayed: boolean; readonly value: T } | ({ readonly ok: false } & Refusal);

export interface MoneyView {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
  readonly held: MicroTokens;
}

/** An operator, and why. Above `fourEyesAbove` (of one operator on one account in 24 hours) a proposal is made instead. */
export interface OperatorAsk {
  readonly actor: AccountId;
  readonly reason: string;
  readonly ticket: string;
  readonly fourEyesAbove: MicroTokens;
  readonly proposalId: ProposalId;
  readonly proposalExpiresAt: Date;
}

export interface Proposed {
  readonly outcome: "proposed";
  readonly proposalId: ProposalId;
  readonly expiresAt: Date;
}

export interface AdjustAsk extends OperatorAsk {
  readonly accountId: AccountId;
  readonly bucket: "paid" | "bonus";
  /** Negative takes, at most what is available in the bucket. */
  readonly amount: MicroTokens;
}
export interface Adjusted {
  readonly outcome: "posted";
  readonly transferId: TransferId;
  readonly before: MoneyView;
  readonly after: MoneyView;
}

export interface RefundAsk extends OperatorAsk {
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  /** Null: whatever of the charge is not given back yet. */
  readonly amount: MicroTokens | null;
}
export interface Refunded {
  readonly outcome: "posted";
  /** The first of two when both buckets got something. */
  readonly transferId: TransferId;
  readonly amount: MicroTokens;
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
  /** All refunds of the request together. */
  readonly refunded: MicroTokens;
  readonly charged: MicroTokens;
}

export interface DecideAsk {
  readonly actor: AccountId;
  readonly proposalId: ProposalId;
  readonly approve: boolean;
  readonly reason: string;
}
/** Null transfer: it was rejected. */
export interface Decided {
  readonly proposalId: ProposalId;
  readonly transferId: TransferId | null;
}

/** What a preview of an adjustment needs to know. Zeros for an account that never had money. */
export interface Adjustable extends MoneyView {
  /** What pending debits are to take from the paid bucket; part of `held`. */
  readonly pending: MicroTokens;
  /** What this operator moved alone on this account within 24 hours. */
  readonly movedAlone: MicroTokens;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** The last item of the page when more follow. */
  readonly next: T | null;
}

export interface OperationsStore {
  adjust(command: Command, ask: AdjustAsk): Promise<Outcome<Adjusted | Proposed>>;
  adjustable(actor: AccountId, accountId: AccountId): Promise<Adjustable>;
  refund(command: Command, ask: RefundAsk): Promise<Outcome<Refunded | Proposed>>;
  /** By rule; gives back whatever is left. `exceeds_charge` when nothing is. */
  autoRefund(command: Command, accountId: AccountId, requestId: RequestId, rule: string): Promise<Outcome<Refunded>>;
  decide(command: Command, ask: DecideAsk): Promise<Outcome<Decided>>;
  /** Newest first. */
  proposals(state: Proposal["state"] | undefined, limit: number, before: string | undefined): Promise<Page<Proposal>>;
  /** Newest first; of all accounts without one. */
  acts(accountId: AccountId | undefined, limit: number, before: string | undefined): Promise<Page<OperatorAct>>;
  /** Voids pending debits and ends proposals whose time is over, at most `limit` of each. Answers how many. */
  expire(limit: number): Promise<{ readonly pending: number; readonly proposals: number }>;
}

/** Business telemetry of operations; see operation-events.ts. */
export interface OperationEvents {
  /** `outcome`: what became of it, or why it was refused. */
  operated(operation: string, outcome: string): void;
}
