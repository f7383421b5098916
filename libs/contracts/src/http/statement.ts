import * as z from "zod";
import { amount, count, idOf, instant } from "../codecs.ts";

/**
 * Glossary
 *   movement  one entry of the ledger in one bucket of the account. Usage is booked in batches, so one movement may stand for
 *             many requests; `usageCount` says how many, and the movement's usage route lists them.
 *   order     newest first, everywhere. Within a bucket it is the order of booking, which is also the one of the balances;
 *             between the buckets the one of time, and of one batch the paid part is the newer (bonus is spent first).
 */

export const movementKind = z.enum([
  "usage",
  "write_off",
  "grant",
  "adjustment",
  "refund",
  "auto_refund",
  "voucher",
  "payment",
  "payment_refund",
  "dispute",
  "expiry",
]);
export type MovementKind = z.infer<typeof movementKind>;

const bucket = z.enum(["paid", "bonus"]);
export type Bucket = z.infer<typeof bucket>;

export const statementLine = z.strictObject({
  transferId: idOf("trf"),
  at: instant,
  kind: movementKind,
  bucket,
  /** Signed: what came in is positive. */
  amount,
  /** Of the bucket, after the movement. */
  bucketBalance: amount,
  /** Of both buckets, after the movement. */
  totalBalance: amount,
  reason: z.string().nullable(),
  /** Requests of a batch; null where the movement is not usage. */
  usageCount: count.nullable(),
});

/** `nextCursor` is opaque, null on the last page. Movements booked since do not shift the pages. */
export const statementPage = z.strictObject({ lines: z.array(statementLine), nextCursor: z.string().nullable() });

const range = {
  /** First instant that counts. */
  from: instant.optional(),
  /** First instant that does not count any more. */
  to: instant.optional(),
};

export const statementQuery = z.strictObject({
  ...range,
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(100).optional(),
});

/** Longest range of one export, in days. */
export const exportDaysMax = 366;

export const exportQuery = z.strictObject({ from: instant, to: instant });

const balances = z.strictObject({ paid: amount, bonus: amount, total: amount });

/** opening + Σ sums = closing, for each bucket; the closing of a month is the opening of the next. */
export const monthlyStatement = z.strictObject({
  /** "2026-11", a month of UTC. */
  month: z.string(),
  from: instant,
  to: instant,
  /** False while the month runs: later movements will change the sums. */
  final: z.boolean(),
  opening: balances,
  sums: z.array(z.strictObject({ kind: movementKind, bucket, amount, count })),
  closing: balances,
});
