import type { Db } from "@codex/db";
import { sql } from "kysely";
import { hashOfToken } from "../crypto/token.ts";
import type { AuthTables } from "./schema.ts";

/** Wrong answers beside one token; then it is dead. */
export const tokenFailuresMax = 5;

/** Rows that whoever has their token finds, for a purpose and until they run out, and that one caller takes, once. */
export interface OneTimeRows<Row, Purpose extends string> {
  find(token: string, purpose: Purpose, now: Date): Promise<Row | undefined>;
  take(token: string, purpose: Purpose, now: Date): Promise<Row | undefined>;
  /** Counts a wrong answer beside the token. */
  failed(token: string): Promise<void>;
}

/** `hashColumn` holds SHA-256 of the token, and is unique. `Row` is what `select *` gives. */
export function oneTimeRows<Row, Purpose extends string>(
  db: Db<AuthTables>,
  table: "link" | "challenge",
  hashColumn: "token_hash" | "id_hash",
): OneTimeRows<Row, Purpose> {
  const of = (token: string) => sql`${sql.ref(hashColumn)} = ${hashOfToken(token)}`;
  const living = (token: string, purpose: Purpose, now: Date) =>
    sql`${of(token)} and purpose = ${purpose} and expires_at > ${now} and failures < ${tokenFailuresMax}`;
  return {
    async find(token, purpose, now) {
      const { rows } = await sql<Row>`select * from ${sql.table(table)} where ${living(token, purpose, now)}`.execute(
        db.kysely,
      );
      return rows[0];
    },
    async take(token, purpose, now) {
      const { rows } = await sql<Row>`
        delete from ${sql.table(table)} where ${living(token, purpose, now)} returning *`.execute(db.kysely);
      return rows[0];
    },
    async failed(token) {
      await sql`update ${sql.table(table)} set failures = failures + 1 where ${of(token)}`.execute(db.kysely);
    },
  };
}
