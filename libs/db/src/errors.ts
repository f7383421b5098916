import { AppError } from "@codex/kernel";
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

/**
 * Refusals that say "not now" instead of "not so" (manual appendix A): no connection to be had (08…, 53300), cancelled by a
 * timeout (57014), a lock not had in time (55P03), the server going or coming (57P01 to 57P03), out of memory or disk (53…).
 */
const notNow = /^(08...|53...|55P03|57014|57P0[123])$/;

/**
 * An error of the driver as callers should see it: AppError `service_unavailable` when the database cannot answer now, with
 * the original as its cause; any other refusal as it is. Anything that is not the server's answer is a lost connection or a
 * timeout.
 */
export function asUnavailable(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const state = sqlState(error);
  const isRefusal = databaseError(error) !== undefined;
  if (isRefusal && (state === undefined || !notNow.test(state))) return error;
  return new AppError({
    kind: "unavailable",
    code: "service_unavailable",
    publicMessage: "The database does not answer at the moment. Please try again.",
    retryAfterSeconds: 1,
    cause: error,
  });
}
