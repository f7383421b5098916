import { insertOutbox, type Db } from "@codex/db";
import { uuidToId } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { Adjusted, MoneyView, Outcome, Proposed, Refunded, Refusal } from "../app/operations-ports.ts";
import type { ChangedBalance } from "../app/ports.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { fromDbBalanceJson, type BalanceJson } from "./money-json.ts";
import type { Tables } from "./schema.ts";

/** What the functions of the money machine answer; int8 as text. */
interface DbAnswer {
  readonly outcome: string;
  readonly result?: DbResult;
  readonly balance?: DbBalance;
  readonly debitable?: string;
  readonly refundable?: string;
  readonly state?: string;
  readonly dispute_id?: string;
}

export interface DbBalance extends BalanceJson {
  readonly account_id: string;
}

export interface DbMoney {
  readonly paid: string;
  readonly bonus: string;
  readonly held: string;
}

/** The stored result of a command; which fields are there depends on what it did. */
export interface DbResult {
  readonly transfer_id?: string;
  readonly proposal_id?: string;
  readonly dispute_id?: string;
  readonly expires_at?: string;
  readonly amount?: string;
  readonly paid?: string;
  readonly bonus?: string;
  readonly refunded?: string;
  readonly charged?: string;
  readonly before?: DbMoney;
  readonly after?: DbMoney;
}

/** A function of the migrations that answers one JSON value. */
export type CommandCall = RawBuilder<unknown>;

/**
 * Runs one command in one transaction: the function, and the outbox row of `balance.changed` when the balance changed now.
 * A replay says nothing again.
 */
export async function runCommand<T>(
  db: Db<Tables>,
  encode: EncodeBalanceChanged,
  call: CommandCall,
  toValue: (result: DbResult) => T,
): Promise<Outcome<T>> {
  return db.transaction(async (trx) => {
    const { rows } = await sql<{ answer: DbAnswer }>`select ${call} as answer`.execute(trx);
    const answer = rows[0]?.answer;
    if (!answer) throw new Error("a command answered nothing");
    if (answer.balance) await insertOutbox(trx, [encode(fromDbBalance(answer.balance))]);
    if (answer.result) return { ok: true, replayed: answer.outcome === "replayed", value: toValue(answer.result) };
    return { ok: false, ...fromDbRefusal(answer) };
  });
}

export function fromDbBalance(balance: DbBalance): ChangedBalance {
  return fromDbBalanceJson(uuidToId("acc", balance.account_id), balance);
}

function fromDbRefusal(answer: DbAnswer): Refusal {
  switch (answer.outcome) {
    case "conflict":
      return { refused: "key_reused" };
    case "not_found":
    case "own_account":
    case "own_proposal":
    case "expired":
    case "under_review":
    case "assigned_to_other":
    case "window_closed":
    case "too_many_messages":
    case "too_many_open":
      return { refused: answer.outcome };
    case "insufficient_balance":
      return { refused: answer.outcome, debitable: BigInt(needed(answer.debitable)) };
    case "exceeds_charge":
      return { refused: answer.outcome, refundable: BigInt(needed(answer.refundable)) };
    case "already_decided":
    case "not_open":
      return { refused: answer.outcome, state: needed(answer.state) };
    case "already_open":
      return { refused: answer.outcome, disputeId: uuidToId("dsp", needed(answer.dispute_id)) };
    default:
      throw new Error(`a command answered the unknown outcome ${answer.outcome}`);
  }
}

/** A field that the function always gives with this outcome. */
export function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a command left out a field of its answer");
  return value;
}

export function fromDbMoney(money: DbMoney): MoneyView {
  return { paid: BigInt(money.paid), bonus: BigInt(money.bonus), held: BigInt(money.held) };
}

function fromDbProposed(result: DbResult): Proposed {
  return {
    outcome: "proposed",
    proposalId: uuidToId("ppl", needed(result.proposal_id)),
    expiresAt: new Date(needed(result.expires_at)),
  };
}

export function fromDbAdjusted(result: DbResult): Adjusted | Proposed {
  if (result.transfer_id === undefined) return fromDbProposed(result);
  return {
    outcome: "posted",
    transferId: uuidToId("trf", result.transfer_id),
    before: fromDbMoney(needed(result.before)),
    after: fromDbMoney(needed(result.after)),
  };
}

export function fromDbRefunded(result: DbResult): Refunded {
  return {
    outcome: "posted",
    transferId: uuidToId("trf", needed(result.transfer_id)),
    amount: BigInt(needed(result.amount)),
    paid: BigInt(needed(result.paid)),
    bonus: BigInt(needed(result.bonus)),
    refunded: BigInt(needed(result.refunded)),
    charged: BigInt(needed(result.charged)),
  };
}

export function fromDbRefundedOrProposed(result: DbResult): Refunded | Proposed {
  return result.transfer_id === undefined ? fromDbProposed(result) : fromDbRefunded(result);
}
