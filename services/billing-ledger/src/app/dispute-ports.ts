import type { AccountId, DisputeId, MicroTokens, RequestId, TransferId } from "@codex/kernel";
import type { Command, OperatorAsk, Outcome, Page, Proposed, Refunded } from "./operations-ports.ts";

export type DisputeReason = "wrong_charge" | "no_answer" | "cut_answer" | "not_mine" | "other";
export type DisputeState = "open" | "withdrawn" | "refunded" | "rejected";

export interface Dispute {
  readonly disputeId: DisputeId;
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  readonly reason: DisputeReason;
  readonly state: DisputeState;
  readonly assigneeId: AccountId | null;
  readonly refunded: MicroTokens | null;
  readonly transferId: TransferId | null;
  readonly openedAt: Date;
  readonly dueAt: Date;
  readonly resolvedAt: Date | null;
}

export interface DisputeEvent {
  readonly kind:
    | "opened"
    | "claimed"
    | "released"
    | "message"
    | "second_review"
    | "review_ended"
    | "refunded"
    | "rejected"
    | "withdrawn";
  readonly by: "user" | "operator" | "system";
  readonly actorId: AccountId | null;
  readonly text: string | null;
  readonly amount: MicroTokens | null;
  readonly at: Date;
}

export interface OpenAsk {
  readonly disputeId: DisputeId;
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  readonly reason: DisputeReason;
  readonly text: string;
  readonly windowDays: number;
  readonly dueDays: number;
  /** Disputes of one account that may be open at once. */
  readonly openMax: number;
}

export interface AssignAsk {
  readonly actor: AccountId;
  readonly disputeId: DisputeId;
  readonly assignee: AccountId | null;
  readonly takeOver: boolean;
}

export interface ResolveAsk extends OperatorAsk {
  readonly disputeId: DisputeId;
  readonly outcome: "refund" | "rejected";
  /** Null: whatever of the charge is not given back yet. Of a rejection not looked at. */
  readonly amount: MicroTokens | null;
}

export interface QueueQuery {
  readonly state: DisputeState;
  /** Null: of nobody; undefined: whoever has it. */
  readonly assignee: AccountId | null | undefined;
  readonly limit: number;
  readonly after: { readonly dueAt: Date; readonly disputeId: DisputeId } | undefined;
}

export interface DisputeStore {
  open(command: Command, ask: OpenAsk): Promise<Outcome<DisputeId>>;
  withdraw(command: Command, accountId: AccountId, disputeId: DisputeId): Promise<Outcome<DisputeId>>;
  reply(
    command: Command,
    accountId: AccountId,
    ask: { readonly disputeId: DisputeId; readonly text: string; readonly repliesMax: number },
  ): Promise<Outcome<DisputeId>>;
  assign(command: Command, ask: AssignAsk): Promise<Outcome<DisputeId>>;
  message(command: Command, actor: AccountId, disputeId: DisputeId, text: string): Promise<Outcome<DisputeId>>;
  resolve(command: Command, ask: ResolveAsk): Promise<Outcome<Refunded | Proposed | { readonly outcome: "rejected" }>>;
  /** Undefined when there is none, or, with an account, when it is somebody else's. */
  find(disputeId: DisputeId, accountId?: AccountId): Promise<Dispute | undefined>;
  /** Oldest first. */
  events(disputeId: DisputeId): Promise<readonly DisputeEvent[]>;
  /** Newest first. */
  ofAccount(accountId: AccountId, limit: number, before: DisputeId | undefined): Promise<Page<Dispute>>;
  /** By due date. */
  queue(query: QueueQuery): Promise<Page<Dispute>>;
  waiting(now: Date): Promise<{ readonly open: number; readonly overdue: number }>;
}
