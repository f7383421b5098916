import type { Books, UsageRow } from "./books.ts";
import type { Observation } from "./client.ts";
import type { Delivery } from "./journal.ts";
import { chargeOf } from "./models.ts";

/**
 * The comparison of three accounts of the same hours: what clients saw, what the upstream wrote down, what billing booked.
 *
 * Glossary
 *   delivered   answers that a client has whole
 *   charged     those of them with one usage row, ended well, at exactly the price of the usage that the upstream reported
 *   lost        delivered or seen by the upstream, and not in the books
 *   doubled     more than one usage row
 *   overspent   accounts that were charged more than they were granted and given back
 *   refund      of an answer that the upstream broke off: the published rule gives its whole charge back, once
 */

export interface Facts {
  readonly observations: readonly Observation[];
  readonly deliveries: readonly Delivery[];
  readonly books: Books;
  /** Micro-tokens by account. */
  readonly granted: ReadonlyMap<string, bigint>;
}

export interface Verdict {
  readonly delivered: number;
  readonly charged: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  /** Whole answers that are not charged as the rule says. */
  readonly wrong: readonly string[];
  readonly overspent: readonly string[];
  /** Micro-tokens; the sum of all entries, and of what each balance is off from granted − charged + given back by rule. */
  readonly ledgerDifference: bigint;
  /** Everything else that is not as it must be, one sentence each. */
  readonly findings: readonly string[];
}

const namedMax = 5;

export function compare(facts: Facts): Verdict {
  const { observations, deliveries, books, granted } = facts;
  const rows = new Map<string, UsageRow[]>();
  for (const row of books.usage) rows.set(row.requestId, [...(rows.get(row.requestId) ?? []), row]);
  const seen = new Map(deliveries.map((delivery) => [delivery.requestId, delivery]));
  const whole = observations.filter((one) => one.whole);
  const nameless = whole.filter(({ requestId }) => requestId === undefined);
  const verdicts = whole.map((one) => ({ one, problem: chargeProblem(one, rows, seen) }));
  const findings: string[] = [
    ...grouped(
      verdicts.flatMap(({ one, problem }) => (problem === undefined ? [] : [[problem, one.requestId ?? "?"]])),
    ),
    ...listed(
      "whole answer(s) without a request id",
      nameless.map(({ accountId }) => accountId),
    ),
    ...listed("request(s) charged though the upstream never saw them", chargedUnseen(books, seen)),
    ...refundProblems(books),
    ...books.broken,
  ];
  if (books.writtenOff !== 0n) findings.push(`${String(books.writtenOff)} micro-tokens were written off`);
  const wholeIds = whole.flatMap(({ requestId }) => requestId ?? []);
  return {
    delivered: whole.length,
    charged: verdicts.filter(({ problem }) => problem === undefined).length,
    lost: [...new Set([...wholeIds, ...seen.keys()])].filter((requestId) => !rows.has(requestId)),
    doubled: [...rows].filter(([, list]) => list.length > 1).map(([requestId]) => requestId),
    wrong: verdicts.flatMap(({ one, problem }) => (problem === undefined ? [] : [one.requestId ?? "?"])),
    overspent: overspent(books, granted),
    ledgerDifference: ledgerDifference(books, granted),
    findings,
  };
}

export function isClean(verdict: Verdict): boolean {
  return (
    verdict.charged === verdict.delivered &&
    verdict.lost.length + verdict.doubled.length + verdict.overspent.length + verdict.findings.length === 0 &&
    verdict.ledgerDifference === 0n
  );
}

/** Undefined when the whole answer is charged as the published rule says. */
function chargeProblem(
  { requestId }: Observation,
  rows: ReadonlyMap<string, readonly UsageRow[]>,
  seen: ReadonlyMap<string, Delivery>,
): string | undefined {
  const [row] = rows.get(requestId ?? "") ?? [];
  const delivery = seen.get(requestId ?? "");
  if (row === undefined) return "delivered and not in the books";
  if (delivery === undefined) return "delivered, and the upstream knows nothing of it";
  if (row.status !== "ok") return `delivered, and booked as ${row.status}`;
  if (row.charged !== row.cost) return "delivered, and charged less than it cost";
  if (delivery.usage === undefined) {
    return row.estimated && row.charged > 0n ? undefined : "delivered without usage, and not charged by an estimate";
  }
  const due = chargeOf(row.model, delivery.usage);
  return row.charged === (due < row.hold ? due : row.hold) ? undefined : "delivered, and charged another amount";
}

function chargedUnseen(books: Books, seen: ReadonlyMap<string, Delivery>): string[] {
  return books.usage.filter((row) => row.charged > 0n && !seen.has(row.requestId)).map(({ requestId }) => requestId);
}

/** What the rules give back of a row, worked out from the row alone. */
function refundDue(row: UsageRow): bigint {
  const brokenOff = row.status === "upstream_error" || row.status === "upstream_cut";
  return brokenOff || (row.status === "ok" && row.outputTokens === 0) ? row.charged : 0n;
}

function refundProblems(books: Books): string[] {
  const due = new Map(books.usage.map((row) => [row.requestId, refundDue(row)]));
  const ids = new Set([...due.keys(), ...books.refunds.keys()]);
  const wrong = [...ids].filter((id) => (due.get(id) ?? 0n) !== (books.refunds.get(id) ?? 0n));
  return listed("request(s) given back otherwise than the rules say", wrong);
}

/** What each account paid in the end: charges, less what the rules give back of them. */
function paidBy(books: Books): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const row of books.usage) {
    sums.set(row.accountId, (sums.get(row.accountId) ?? 0n) + row.charged - refundDue(row));
  }
  return sums;
}

function overspent(books: Books, granted: ReadonlyMap<string, bigint>): string[] {
  return [...paidBy(books)].filter(([id, sum]) => sum > (granted.get(id) ?? 0n)).map(([id]) => id);
}

function ledgerDifference(books: Books, granted: ReadonlyMap<string, bigint>): bigint {
  const paid = paidBy(books);
  let difference = absolute(books.entrySum);
  for (const accountId of new Set([...granted.keys(), ...books.balances.keys()])) {
    const due = (granted.get(accountId) ?? 0n) - (paid.get(accountId) ?? 0n);
    difference += absolute((books.balances.get(accountId) ?? 0n) - due);
  }
  return difference;
}

function grouped(problems: readonly (readonly string[])[]): string[] {
  const byProblem = new Map<string, string[]>();
  for (const [problem = "", id = ""] of problems) byProblem.set(problem, [...(byProblem.get(problem) ?? []), id]);
  return [...byProblem].flatMap(([problem, ids]) => listed(problem, ids));
}

function listed(what: string, ids: readonly string[]): string[] {
  if (ids.length === 0) return [];
  const more = ids.length > namedMax ? ", …" : "";
  return [`${String(ids.length)} × ${what}: ${ids.slice(0, namedMax).join(", ")}${more}`];
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}
