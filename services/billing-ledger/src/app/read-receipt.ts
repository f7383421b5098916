import type { AccountId, MicroTokens, RequestId } from "@codex/kernel";
import { receiptOf, type ReceiptLine } from "../domain/receipt.ts";
import type { ReceiptTransfer, ReceiptTransfers } from "./receipt-ports.ts";
import type { PostedUsage, PriceStore, UsageStore } from "./ports.ts";

export interface Receipt extends PostedUsage {
  readonly lines: readonly ReceiptLine[];
  /** The sum of the lines, rounded once. */
  readonly computed: MicroTokens;
  readonly transfers: readonly ReceiptTransfer[];
}

/** How a charge came about. Undefined when there is no such request of this account. */
export async function readReceipt(
  deps: { readonly usage: UsageStore; readonly prices: PriceStore; readonly transfers: ReceiptTransfers },
  accountId: AccountId,
  requestId: RequestId,
): Promise<Receipt | undefined> {
  const posted = await deps.usage.find(accountId, requestId);
  if (!posted) return undefined;
  const book = await deps.prices.byVersion(posted.priceVersion);
  const price = book?.models.find((candidate) => candidate.model === posted.line.model);
  // A record is booked only when its price is known, and versions are never removed.
  if (!price) throw new Error("a booked request has no price");
  const { lines, sum } = receiptOf(price, posted.line.tokens);
  const transfers = posted.line.charged === 0n ? [] : await deps.transfers.ofRequest(accountId, requestId);
  return { ...posted, lines, computed: sum, transfers };
}
