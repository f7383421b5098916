import type { AccountId, RequestId } from "@codex/kernel";
import { receiptOf, type ReceiptLine } from "../domain/receipt.ts";
import type { PostedUsage, PriceStore, UsageStore } from "./ports.ts";

export interface Receipt extends PostedUsage {
  readonly lines: readonly ReceiptLine[];
}

/** How a charge came about. Undefined when there is no such request of this account. */
export async function readReceipt(
  deps: { readonly usage: UsageStore; readonly prices: PriceStore },
  accountId: AccountId,
  requestId: RequestId,
): Promise<Receipt | undefined> {
  const posted = await deps.usage.find(accountId, requestId);
  if (!posted) return undefined;
  const book = await deps.prices.byVersion(posted.priceVersion);
  const price = book?.models.find((candidate) => candidate.model === posted.line.model);
  // A record is booked only when its price is known, and versions are never removed.
  if (!price) throw new Error("a booked request has no price");
  return { ...posted, lines: receiptOf(price, posted.line.tokens).lines };
}
