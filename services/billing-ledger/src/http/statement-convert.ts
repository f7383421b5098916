import type { Bucket, MovementKind } from "@codex/contracts";
import type { TransferId } from "@codex/kernel";
import type { MonthlyStatement } from "../app/read-monthly-statement.ts";
import type { Position, StatementLine } from "../domain/statement.ts";

export function toApiStatementLine(line: StatementLine): {
  transferId: TransferId;
  at: string;
  kind: MovementKind;
  bucket: Bucket;
  amount: bigint;
  bucketBalance: bigint;
  totalBalance: bigint;
  reason: string | null;
  usageCount: number | null;
} {
  return {
    transferId: line.transferId,
    at: line.at.toISOString(),
    kind: line.kind,
    bucket: line.bucket,
    amount: line.amount,
    bucketBalance: line.balanceAfter,
    totalBalance: line.totalBalance,
    reason: line.reason,
    usageCount: line.usageCount,
  };
}

export function toApiMonthlyStatement(month: string, statement: MonthlyStatement): object {
  const balances = ({ paid, bonus }: { paid: bigint; bonus: bigint }): object => ({ paid, bonus, total: paid + bonus });
  return {
    month,
    from: statement.from.toISOString(),
    to: statement.to.toISOString(),
    final: statement.final,
    opening: balances(statement.opening),
    sums: statement.sums.map((sum) => ({ ...sum })),
    closing: balances(statement.closing),
  };
}

/** Opaque to clients: nobody should build one. It says nothing but numbers of the account's own movements. */
export function toApiPosition(position: Position): string {
  return Buffer.from(`${String(position.paid)}.${String(position.bonus)}`).toString("base64url");
}

/** Undefined for anything that {@link toApiPosition} did not make. */
export function fromApiPosition(cursor: string): Position | undefined {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(Buffer.from(cursor, "base64url").toString());
  const [, paid = "", bonus = ""] = match ?? [];
  const position = { paid: Number.parseInt(paid, 10), bonus: Number.parseInt(bonus, 10) };
  return match && toApiPosition(position) === cursor ? position : undefined;
}
