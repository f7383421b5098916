import { Kysely, PostgresDialect, sql, type PostgresPool, type PostgresPoolClient, type Transaction } from "kysely";
import pg from "pg";
import { clientConfig, type PoolConfig } from "./connection.ts";
import { asUnavailable, databaseError } from "./errors.ts";
import { preparedName } from "./prepared.ts";
import { runTransaction, type TransactionOptions } from "./transaction.ts";

/** One service's database: its schema is the whole search path. */
export interface Db<Tables> {
  readonly kysely: Kysely<Tables>;
  readonly pool: pg.Pool;
  readonly schema: string;
  /** Commits when `run` resolves, rolls back when it rejects; see {@link runTransaction} for what is retried. */
  transaction<T>(run: (trx: Transaction<Tables>) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Resolves when a connection answers. Bounded by the connect timeout plus the statement timeout. */
  ping(): Promise<void>;
  /** A connection of the same settings outside the pool, not yet connected; for LISTEN. The caller ends it. */
  dedicatedClient(): pg.Client;
  /**
   * Has the server cancel what runs on this pool's connections; its callers get `service_unavailable`, because of Postgres's 57014.
   * For a pool that is about to be closed: between two statements of a caller there is nothing to cancel, and the next one runs.
   */
  cancel(): Promise<void>;
  /** Waits for borrowed connections, then closes all. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a pool; connects only when something is asked. Rows carry int8 as bigint, timestamptz as Date, date and numeric as
 * text (so `sum()` of int8, which is numeric, needs a cast back to int8), in this pool only. Throws on a malformed url or
 * schema name.
 */
export function openDb<Tables>(config: PoolConfig): Db<Tables> {
  const settings = clientConfig(config);
  const pool = new pg.Pool({ ...settings, max: config.connectionsMax ?? 10 });
  const report = (error: Error): void => config.onConnectionError?.(error);
  // An idle connection that breaks would end the process if nobody listened; so would a borrowed one between two queries.
  pool.on("error", report);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const borrowed = new Set<pg.PoolClient>();
  pool.on("acquire", (client) => borrowed.add(client));
  pool.on("release", (_error, client) => borrowed.delete(client));
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: discardingBroken(pool) }) });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await kysely.destroy();
    // kysely ends the pool only when it was used.
    if (!pool.ending) await pool.end();
  };
  return {
    kysely,
    pool,
    schema: config.schema,
    transaction: (run, options) => runTransaction(kysely, config.schema, run, options),
    ping: async () => {
      await sql`select 1`.execute(kysely);
    },
    dedicatedClient: () => new pg.Client(settings),
    cancel: () => cancelOn(new pg.Client(settings), [...borrowed]),
    close: () => (closing ??= close()),
  };
}

/** pg knows the process behind a connection, and its types do not. */
function processOf(client: pg.PoolClient): number | null {
  return (client as unknown as { readonly processID: number | null }).processID;
}

async function cancelOn(client: pg.Client, borrowed: readonly pg.PoolClient[]): Promise<void> {
  const processes = borrowed.map(processOf).filter((id) => id !== null);
  if (processes.length === 0) return;
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("select pg_cancel_backend(id) from unnest($1::integer[]) as id", [processes]);
  } finally {
    await client.end();
  }
}

/**
 * An error that is not the server's answer (a dead connection, no answer in time) leaves a connection in an unknown state:
 * it is refused further queries and thrown away instead of being given to the next borrower. What only means "not now"
 * reaches the caller as AppError `service_unavailable`: a 503 at an edge, a retry in a consumer, never a 500.
 */
function discardingBroken(pool: pg.Pool): PostgresPool {
  const connect = async (): Promise<PostgresPoolClient> => {
    const client = await pool.connect().catch((error: unknown) => {
      throw asUnavailable(error);
    });
    let broken = false;
    const query = async (text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
      if (broken) throw asUnavailable(new Error("the database connection is broken"));
      try {
        const name = preparedName(text);
        return await client.query({ text, values: [...values], ...(name === undefined ? {} : { name }) });
      } catch (error) {
        broken = databaseError(error) === undefined;
        throw asUnavailable(error);
      }
    };
    return {
      // kysely also knows a form for cursors, which needs a driver option that we do not set.
      query: query as unknown as PostgresPoolClient["query"],
      release: (destroy) => {
        client.release(broken || destroy === true);
      },
    };
  };
  return { connect, end: () => pool.end(), options: pool.options };
}
