import * as z from "zod";
import { amount, count, idOf, instant } from "../codecs.ts";

/** Codes of one batch; their sum is bounded like any single grant. */
export const voucherCountMax = 1_000;

/** A thousand million tokens, as for grants: far above any real campaign. */
export const voucherBatchMicroTokensMax = 10n ** 15n;

const bucket = z.enum(["paid", "bonus"]);
const reason = z.string().trim().min(3).max(500);

export const voucherBatchBody = z.strictObject({
  count: z.number().int().min(1).max(voucherCountMax),
  /** Of one voucher. */
  amount: amount.refine(
    (value) => value > 0n && value <= voucherBatchMicroTokensMax,
    "must be above 0 and within bounds",
  ),
  /** `bonus`: given away, at the cost of promo. `paid`: sold elsewhere, against payments clearing. */
  bucket,
  /** No code can be redeemed from this instant on; null: never. */
  expiresAt: instant.nullable(),
  /** Vouchers of this batch that one account may redeem. */
  maxPerAccount: z.number().int().min(1).max(voucherCountMax),
  /** For operators only. */
  note: z.string().trim().max(500),
  /** Why; kept in the audit. */
  reason,
});

export const voucherBatch = z.strictObject({
  batchId: idOf("vcb"),
  bucket,
  amount,
  total: count,
  redeemed: count,
  maxPerAccount: count,
  expiresAt: instant.nullable(),
  /** `proposed`: no code is paid before another operator approves. `expired` and `revoked` batches pay no more codes. */
  state: z.enum(["proposed", "open", "expired", "revoked"]),
  note: z.string(),
  createdBy: idOf("acc"),
  createdAt: instant,
  revokedAt: instant.nullable(),
  /** Null where none was needed, or as long as it is `proposed`. */
  approvedBy: idOf("acc").nullable(),
  approvedAt: instant.nullable(),
});

/** `codes` stand in the first answer only: they are not stored. A repeat of the same command has null. */
export const voucherBatchCreated = z.strictObject({
  batch: voucherBatch,
  codes: z.array(z.string()).max(voucherCountMax).nullable(),
});

export const voucherBatchList = z.strictObject({
  batches: z.array(voucherBatch),
  nextCursor: z.string().nullable(),
});
export const voucherBatchQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(100).optional(),
});

export const voucherRevokeBody = z.strictObject({ reason });
export const voucherApproveBody = z.strictObject({ reason });
export const voucherBatchResponse = z.strictObject({ batch: voucherBatch });

/** Any text is taken: what is no code gets the same answer as a code that nobody issued. */
export const voucherRedeemBody = z.strictObject({ code: z.string().max(200) });

/** `replayed`: the account had redeemed this code before; nothing moved again. */
export const voucherRedeemed = z.strictObject({
  transferId: idOf("trf"),
  bucket,
  amount,
  replayed: z.boolean(),
});
