import type { AccountId, MicroTokens, RequestId } from "@codex/kernel";
import { receiptOf, type ReceiptSum } from "../domain/receipt.ts";
import type { ReceiptTransfer, ReceiptTransfers } from "./receipt-ports.ts";
import type { PostedUsage, PriceStore, UsageStore } from "./ports.ts";

export interface Receipt extends PostedUsage, Omit<ReceiptSum, "sum"> {
  /** The sum of the lines after the multipliers, rounded once. */
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
  if (!book || !price) throw new Error("a booked request has no price");
  const usage = { ...posted.line, priceGroup: posted.priceGroup };
  const { lines, terms, exact, sum } = receiptOf(price, usage, book.groups);
  const transfers = posted.line.charged === 0n ? [] : await deps.transfers.ofRequest(accountId, requestId);
  return { ...posted, lines, terms, exact, computed: sum, transfers };
}
