import type { Balance, ModelPrice, PriceBook, PriceList, UsageReceipt } from "@codex/contracts";
import { parseId, type RequestId } from "@codex/kernel";
import type { BalanceView } from "../app/read-balance.ts";
import type { Receipt } from "../app/read-receipt.ts";
import { receiptFormula } from "../domain/receipt-formula.ts";

export function toApiBalance(view: BalanceView): Balance {
  return {
    paid: view.paid,
    bonus: view.bonus,
    held: view.held,
    available: view.available,
    updatedAt: view.updatedAt.toISOString(),
  };
}

export function toApiReceipt(receipt: Receipt): UsageReceipt {
  return {
    usage: receipt.line,
    priceVersion: receipt.priceVersion,
    hold: receipt.hold,
    lines: receipt.lines.map((line) => ({
      class: line.class,
      quantity: line.quantity,
      rate: line.rate,
      exact: line.exact,
    })),
    terms: {
      tierAboveInputTokens: receipt.terms.aboveInputTokens,
      offPeakPpm: receipt.terms.offPeakPpm,
      priceGroup: receipt.priceGroup,
      groupPpm: receipt.terms.groupPpm,
    },
    exact: receipt.exact,
    rounding: "half-even, once, to 0.000001",
    formula: receiptFormula,
    computed: receipt.computed,
    charged: receipt.line.charged,
    refunded: receipt.line.refunded,
    transferId: receipt.transferId,
    transfers: receipt.transfers.map(({ transferId, bucket }) => ({ transferId, bucket })),
    postedAt: receipt.postedAt.toISOString(),
  };
}

export function toApiPrices(book: PriceBook): PriceList {
  return { version: book.version, effectiveAt: book.effectiveAt, models: book.models.map(toApiPrice) };
}

function toApiPrice({ rates, perImage, tiers, ...price }: ModelPrice): PriceList["models"][number] {
  return {
    ...price,
    ...rates,
    perImage: perImage.map(({ variant, microTokens }) => ({ variant, price: microTokens })),
    tiers: tiers.map((tier) => ({ aboveInputTokens: tier.aboveInputTokens, ...tier.rates })),
  };
}

/** Opaque to clients: nobody should build one. */
export function toApiCursor(requestId: RequestId): string {
  return Buffer.from(requestId).toString("base64url");
}

/** Undefined for anything that {@link toApiCursor} did not make. */
export function fromApiCursor(cursor: string): RequestId | undefined {
  const requestId = parseId("req", Buffer.from(cursor, "base64url").toString());
  return requestId !== undefined && toApiCursor(requestId) === cursor ? requestId : undefined;
}
