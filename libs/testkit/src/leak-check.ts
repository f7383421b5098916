import pg from "pg";
import { eventually } from "./eventually.ts";

export interface LeakCheck {
  /**
   * Waits until nothing more is open than when the check was made, and no session but ours is on the database.
   * Throws at the deadline, listing what is still open. Call it last in the file, before the database is dropped.
   */
  assertClean(): Promise<void>;
}

export interface LeakCheckOptions {
  /** Superuser URL of the file's own database, to find sessions that were never closed. */
  readonly databaseUrl?: string;
  /** Milliseconds; 3000 unless told. */
  readonly timeoutMs?: number;
}

/** What a forgotten close leaves behind. Timers are left out: Jest itself has one running during every hook. */
const watched = new Set([
  ...["TCPSocketWrap", "TCPServerWrap", "TLSWrap", "PipeWrap", "PipeServerWrap", "UDPWrap", "ProcessWrap"],
  ...["FSEventWrap", "StatWatcher", "Worker", "MessagePort"],
]);

/** Takes the measure now: call it first in the file, before anything is opened. */
export function leakCheck(options: LeakCheckOptions = {}): LeakCheck {
  const before = openResources();
  const timeoutMs = options.timeoutMs ?? 3000;
  return {
    assertClean: async () => {
      let found: readonly string[] = [];
      await eventually(
        async () => {
          const sessions = options.databaseUrl === undefined ? [] : await foreignSessions(options.databaseUrl);
          found = [...surplus(before, openResources()), ...sessions];
          return found.length === 0;
        },
        { timeoutMs, everyMs: 50, what: "closing everything" },
      ).catch((error: unknown) => {
        throw new Error(`Still open after ${String(timeoutMs)} ms: ${found.join("; ")}`, { cause: error });
      });
    },
  };
}

function openResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) {
    if (watched.has(type)) counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return counts;
}

function surplus(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] {
  return [...now].flatMap(([type, count]) => {
    const more = count - (before.get(type) ?? 0);
    return more > 0 ? [`${String(more)} × ${type}`] : [];
  });
}

async function foreignSessions(url: string): Promise<string[]> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "leak check",
    connectionTimeoutMillis: 3000,
    query_timeout: 3000,
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ who: string }>(
      `select application_name || ' (' || coalesce(state, '') || ': ' || left(query, 80) || ')' as who
         from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );
    return rows.map((row) => `database session of ${row.who}`);
  } finally {
    await client.end();
  }
}
