import pg from "pg";
import { checkName } from "./identifiers.ts";

/** How to reach one schema of one database. All bounds are milliseconds. */
export interface PoolConfig {
  readonly url: string;
  /** The only schema on the search path. */
  readonly schema: string;
  /** What `pg_stat_activity` shows. */
  readonly applicationName: string;
  /** Connections this pool may hold at once. Default 10. */
  readonly connectionsMax?: number;
  /** The server cancels a statement after this. Default 5000. */
  readonly statementTimeoutMs?: number;
  /** The server gives up waiting for a lock after this. Default 2000. */
  readonly lockTimeoutMs?: number;
  /** Bound for a new connection and for waiting for a free one. Default 3000. */
  readonly connectTimeoutMs?: number;
  /**
   * Hears of connections that broke while nobody was using them (a restart of the server, say). The pool replaces them by
   * itself, so this is for a log line only.
   */
  readonly onConnectionError?: (error: Error) => void;
}

/** A transaction that neither works nor ends is ended by the server, so that its locks do not live for ever. */
const idleInTransactionTimeoutMs = 30_000;

/** How much longer than the server we wait for an answer before a connection counts as dead. */
const answerGraceMs = 2_000;

const oid = { int8: 20, date: 1082, varcharArray: 1015, int8Array: 1016, dateArray: 1182, numericArray: 1231 } as const;

type Parse = (text: string) => unknown;

/** pg's own parsers; its types name only the types it has an enum member for. */
const parserOf = pg.types.getTypeParser as (id: number, format?: "text" | "binary") => Parse;

const parseStrings = parserOf(oid.varcharArray) as (text: string) => readonly (string | null)[];

const parsers: ReadonlyMap<number, Parse> = new Map<number, Parse>([
  [oid.int8, (text) => BigInt(text)],
  [oid.int8Array, (text) => parseStrings(text).map((item) => (item === null ? null : BigInt(item)))],
  // A Date at local midnight is another day elsewhere: calendar days stay text, "2026-11-23".
  [oid.date, (text) => text],
  [oid.dateArray, parseStrings],
  // The default would be floats, while a single numeric is exact text.
  [oid.numericArray, parseStrings],
]);

/**
 * Parsers of one connection or pool: int8 → bigint, timestamptz → Date, date → text, numeric → text; the rest as pg does it.
 * Nothing is set process-wide, so another pool in the same process keeps its own parsers.
 */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((id: number, format?: "text" | "binary"): unknown => {
    const own = format === "binary" ? undefined : parsers.get(id);
    return own ?? parserOf(id, format);
  }) as typeof pg.types.getTypeParser,
};

/** The settings of every connection, pooled or not, of one {@link PoolConfig}. */
export function clientConfig(config: PoolConfig): pg.ClientConfig {
  const url = new URL(config.url);
  const urlOptions = url.searchParams.get("options");
  url.searchParams.delete("options");
  // pg_temp is named last, so that a temporary table can never hide one of ours.
  const searchPath = `-c search_path=${checkName("schema", config.schema)},pg_temp`;
  const statementTimeoutMs = config.statementTimeoutMs ?? 5_000;
  return {
    connectionString: url.href,
    application_name: config.applicationName,
    options: urlOptions === null ? searchPath : `${urlOptions} ${searchPath}`,
    statement_timeout: statementTimeoutMs,
    lock_timeout: config.lockTimeoutMs ?? 2_000,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    query_timeout: statementTimeoutMs + answerGraceMs,
    connectionTimeoutMillis: config.connectTimeoutMs ?? 3_000,
    keepAlive: true,
    types,
  };
}
