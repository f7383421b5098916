import { createHash } from "node:crypto";
import { newId, type AccountId } from "@codex/kernel";
import { parseVoucherCode } from "../domain/voucher-code.ts";
import type { RedeemOutcome, VoucherEvents, VoucherStore } from "./voucher-ports.ts";

/** Failed tries of one account within the window; then 429 until the window ends. Successes do not count. */
export const voucherTries = { triesMax: 10, windowSeconds: 3_600 } as const;

/** What a code is stored as. A text that is no code has a hash as well, so that both take the same way. */
export function codeHashOf(text: string): Uint8Array {
  return createHash("sha256")
    .update(parseVoucherCode(text) ?? `no code: ${text}`)
    .digest();
}

/**
 * Credits the account with the voucher's amount, once ever. A repeat by the account that has it answers the first result. Any
 * code that cannot be redeemed is `invalid`, by the same steps whatever is wrong with it.
 */
export async function redeemVoucher(
  deps: { readonly vouchers: VoucherStore; readonly events: VoucherEvents },
  accountId: AccountId,
  code: string,
): Promise<RedeemOutcome> {
  const outcome = await deps.vouchers.redeem({
    accountId,
    codeHash: codeHashOf(code),
    transferId: newId("trf"),
    ...voucherTries,
  });
  deps.events.voucherTried(outcome.outcome);
  return outcome;
}
