import { tokenClasses, type UsageLine } from "@codex/contracts";
import { formatAmount, type AccountId, type RequestId } from "@codex/kernel";
import { byteOrderMark, csvHeader, csvRow } from "../domain/csv.ts";
import type { Position, StatementLine } from "../domain/statement.ts";
import { readStatement } from "./read-statement.ts";
import type { StatementStore, UsageExportStore } from "./statement-ports.ts";

/** Rows read at once: what an export holds in memory, however long it is. Between two reads no connection is held. */
export const exportPageRows = 500;

export interface ExportAsk {
  readonly from: Date;
  readonly to: Date;
}

const statementColumns = [
  "time",
  "kind",
  "bucket",
  "amount",
  "bucket_balance",
  "total_balance",
  "transfer_id",
  "usage_count",
  "reason",
];

/** The statement of a period in pieces of at most {@link exportPageRows} rows, newest first. Nothing comes before the first read has succeeded. */
export async function* exportStatement(
  store: StatementStore,
  accountId: AccountId,
  ask: ExportAsk,
): AsyncGenerator<string> {
  let head = byteOrderMark + csvHeader(statementColumns);
  let after: Position | undefined;
  for (;;) {
    const page = await readStatement(store, accountId, { ...ask, limit: exportPageRows, after });
    if (page === "bad_cursor") throw new Error("a position of our own is beyond the chain");
    yield head + page.lines.map(statementRow).join("");
    head = "";
    if (!page.next) return;
    after = page.next;
  }
}

function statementRow(line: StatementLine): string {
  return csvRow([
    { text: line.at.toISOString() },
    { text: line.kind },
    { text: line.bucket },
    { number: formatAmount(line.amount) },
    { number: formatAmount(line.balanceAfter) },
    { number: formatAmount(line.totalBalance) },
    { text: line.transferId },
    { number: line.usageCount },
    { text: line.reason },
  ]);
}

const usageColumns = [
  "started_at",
  "request_id",
  "key_id",
  "route",
  "model",
  "status",
  "http_status",
  "error_code",
  "streamed",
  ...tokenClasses.map((name) => `tokens_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`),
  "estimated",
  "charged",
  "refunded",
  "duration_ms",
];

/** The requests of a period in pieces of at most {@link exportPageRows} rows, newest first. */
export async function* exportUsage(
  store: UsageExportStore,
  accountId: AccountId,
  { from, to }: ExportAsk,
): AsyncGenerator<string> {
  let head = byteOrderMark + csvHeader(usageColumns);
  let before: RequestId | undefined;
  for (;;) {
    const lines = await store.between(accountId, from, to, exportPageRows, before);
    yield head + lines.map(usageRow).join("");
    head = "";
    before = lines.at(-1)?.requestId;
    if (lines.length < exportPageRows) return;
  }
}

function usageRow(line: UsageLine): string {
  return csvRow([
    { text: line.startedAt },
    { text: line.requestId },
    { text: line.keyId },
    { text: line.route },
    { text: line.model },
    { text: line.status },
    { number: line.httpStatus },
    { text: line.errorCode },
    { text: String(line.streamed) },
    ...tokenClasses.map((name) => ({ number: line.tokens[name] })),
    { text: String(line.estimated) },
    { number: formatAmount(line.charged) },
    { number: formatAmount(line.refunded) },
    { number: line.durationMs },
  ]);
}
