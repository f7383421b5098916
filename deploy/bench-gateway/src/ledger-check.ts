import { setTimeout as delay } from "node:timers/promises";
import { auditLedger } from "../../chaos/src/ledger-audit.ts";
import { chargeOf } from "../../chaos/src/models.ts";
import { models, usage } from "./answers.ts";
import type { System } from "./system.ts";

/** Billing works off what the load left behind. */
const settleTimeoutMs = 300_000;

export interface LedgerCheck {
  readonly deliveredWhole: number;
  readonly rows: number;
  readonly chargedWhole: number;
  /** Micro-tokens: granted less charged less balances, and the sum of all entries. 0 = the books are right. */
  readonly difference: bigint;
  readonly problems: readonly string[];
}

interface Sums {
  readonly rows: string;
  readonly whole: string;
  readonly wrong: string;
  readonly charged: string;
  readonly refunded: string;
  readonly paid: string;
  readonly reserved: string;
  readonly entries: string;
}

/**
 * After the gateways have stopped in order: every whole answer is charged once, at the price of the usage that the upstream
 * reported, and the money adds up. `delivered` are whole answers that clients of ours have, `cut` those that they left.
 */
export async function checkLedger(
  system: System,
  facts: { readonly delivered: number; readonly cut: number },
): Promise<LedgerCheck> {
  const untilMs = performance.now() + settleTimeoutMs;
  while ((await openLeases(system)) > 0 && performance.now() < untilMs) await delay(250);
  const cost = chargeOf(models.fast, {
    promptTokens: usage.prompt_tokens,
    cachedTokens: 0,
    completionTokens: usage.completion_tokens,
  });
  const { rows } = await system.admin.query<Record<keyof Sums, string>>(
    `select (select count(*) from usage_line) as rows,
       (select count(*) from usage_line where status = 'ok') as whole,
       (select count(*) from usage_line where status = 'ok' and charged <> $1) as wrong,
       (select coalesce(sum(charged), 0) from usage_line) as charged,
       (select coalesce(sum(paid_amount + bonus_amount), 0) from usage_refund) as refunded,
       (select sum(paid + bonus) from balance) as paid,
       (select sum(reserved) from balance) as reserved,
       (select coalesce(sum(amount), 0) from entry) as entries`,
    [cost],
  );
  const sums = rows[0];
  if (!sums) throw new Error("the ledger answered nothing");
  const off = system.grantedMicroTokens - BigInt(sums.charged) + BigInt(sums.refunded) - BigInt(sums.paid);
  const difference = (off < 0n ? -off : off) + abs(BigInt(sums.entries));
  const problems = [
    ...(sums.wrong === "0" ? [] : [`${sums.wrong} whole answers are not charged ${String(cost)}`]),
    ...(sums.reserved === "0" ? [] : [`${sums.reserved} micro-tokens are still held`]),
    // What a client left may have been whole on our side already.
    ...(Number(sums.whole) >= facts.delivered && Number(sums.whole) <= facts.delivered + facts.cut
      ? []
      : [`${sums.whole} charged as whole, ${String(facts.delivered)} delivered, ${String(facts.cut)} left`]),
    ...(await auditLedger(system.database.urlFor("app", "billing"))),
  ];
  return {
    deliveredWhole: facts.delivered,
    rows: Number(sums.rows),
    chargedWhole: Number(sums.whole) - Number(sums.wrong),
    difference,
    problems,
  };
}

async function openLeases(system: System): Promise<number> {
  const { rows } = await system.admin.query<{ n: string }>(
    "select count(*) as n from lease where state in ('open', 'closing')",
  );
  return Number(rows[0]?.n);
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
