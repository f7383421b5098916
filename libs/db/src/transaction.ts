import { setTimeout as delay } from "node:timers/promises";
import { SpanKind, SpanStatusCode, trace, type Span } from "@opentelemetry/api";
import type { Kysely, Transaction } from "kysely";
import { isRetryable, sqlState } from "./errors.ts";

export interface TransactionOptions {
  /** Default "read committed". */
  readonly isolation?: "read committed" | "repeatable read" | "serializable";
  /** 1 to 10, default 3: how often the whole transaction is run when it fails with 40001 or 40P01. */
  readonly attemptsMax?: number;
}

const attemptsLimit = 10;
const backOffBaseMs = 20;
const backOffMaxMs = 1_000;

const tracer = trace.getTracer("@codex/db");

/**
 * Runs `run` in a transaction: commits when it resolves, rolls back when it rejects, and hands its error on unchanged.
 * After a serialization failure or a deadlock the whole of it is run again, after a random pause that may double each time
 * ("full jitter"), at most `attemptsMax` times; so `run` must do nothing outside the database. A connection that breaks
 * during the commit is not retried, because the commit may have happened.
 */
export async function runTransaction<Tables, T>(
  kysely: Kysely<Tables>,
  schema: string,
  run: (trx: Transaction<Tables>) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const isolation = options.isolation ?? "read committed";
  const attemptsMax = options.attemptsMax ?? 3;
  if (!Number.isInteger(attemptsMax) || attemptsMax < 1 || attemptsMax > attemptsLimit) {
    throw new RangeError(`attemptsMax must be a whole number from 1 to ${attemptsLimit}`);
  }
  const attributes = { "db.system.name": "postgresql", "db.namespace": schema, "codex.db.isolation": isolation };
  return tracer.startActiveSpan("db.transaction", { kind: SpanKind.CLIENT, attributes }, async (span) => {
    try {
      return await attemptAll(span, attemptsMax, () => kysely.transaction().setIsolationLevel(isolation).execute(run));
    } catch (error) {
      // The message may quote a row, so only the state leaves the process.
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("error.type", sqlState(error) ?? (error instanceof Error ? error.name : "unknown"));
      throw error;
    } finally {
      span.end();
    }
  });
}

async function attemptAll<T>(span: Span, attemptsMax: number, run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (attempt >= attemptsMax || !isRetryable(error)) throw error;
      span.addEvent("retry", { attempt, "db.response.status_code": sqlState(error) ?? "" });
    }
    await delay(Math.random() * Math.min(backOffMaxMs, backOffBaseMs * 2 ** attempt));
  }
}
