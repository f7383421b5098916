import type pg from "pg";
import { auditChecks } from "../src/store/audit/checks.ts";

type Query = <Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** The age of the outbox, which a test may catch in the middle of its work, and what hand-made records may say of themselves. */
const leftOut = new Set(["I10", "I11-lease", "I11-epoch"]);

/**
 * `query` needs the schema on its search path. The auditor's checks that are broken, with the first rows that break them;
 * empty when the books are right.
 */
export async function brokenInvariants(query: Query): Promise<string[]> {
  const broken: string[] = [];
  for (const { id, says, sql, only } of auditChecks) {
    if (only === "incremental" || leftOut.has(id)) continue;
    const text = `with found as (${sql}), scope as (select $1::timestamptz) select * from found limit 3`;
    const rows = await query(text, ["-infinity"]);
    if (rows.length > 0) broken.push(`${id} ${says}: ${JSON.stringify(rows)}`);
  }
  return broken;
}
