import pg from "pg";

/** How many wrapped errors are looked through; a chain longer than this is a defect. */
const causesMax = 5;

/** The server's refusal inside an error, also when it was wrapped as a `cause`. Undefined for anything else. */
export function databaseError(error: unknown): pg.DatabaseError | undefined {
  let current = error;
  for (let depth = 0; depth < causesMax; depth += 1) {
    if (current instanceof pg.DatabaseError) return current;
    if (!(current instanceof Error)) return undefined;
    current = current.cause;
  }
  return undefined;
}

/** The SQLSTATE of a server's refusal: five characters, PostgreSQL manual appendix A. Undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  return databaseError(error)?.code;
}

/** True when a unique constraint or index (that of the given name, when one is given) refused the row. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const refusal = databaseError(error);
  return refusal?.code === "23505" && (constraint === undefined || refusal.constraint === constraint);
}

/** True for a serialization failure (40001) or a deadlock (40P01): the whole transaction may be run again. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === "40001" || state === "40P01";
}
