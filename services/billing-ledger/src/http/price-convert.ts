import type { PriceBook, pricePreview, priceVersion, priceVersionHead } from "@codex/contracts";
import type { z } from "zod";
import type { PricePreview } from "../app/preview-prices.ts";
import type { PriceVersionHead } from "../app/price-ports.ts";

export function toApiVersionHead(head: PriceVersionHead): z.output<typeof priceVersionHead> {
  return { ...head, effectiveAt: head.effectiveAt.toISOString(), createdAt: head.createdAt.toISOString() };
}

export function toApiVersion(head: PriceVersionHead, book: PriceBook): z.output<typeof priceVersion> {
  return { ...toApiVersionHead(head), prices: book.models, groups: book.groups };
}

export function toApiPreview(preview: PricePreview): z.output<typeof pricePreview> {
  const totals = { requests: 0, charged: 0n, newCharged: 0n };
  for (const { requests, charged, newCharged } of preview.models) {
    if (newCharged === null) continue;
    totals.requests += requests;
    totals.charged += charged;
    totals.newCharged += newCharged;
  }
  return {
    from: preview.from.toISOString(),
    to: preview.to.toISOString(),
    models: preview.models.map((model) => ({
      ...model,
      difference: model.newCharged === null ? null : model.newCharged - model.charged,
    })),
    totals: {
      ...totals,
      difference: totals.newCharged - totals.charged,
      accountsAffected: preview.accountsAffected,
    },
    unpriced: preview.models.filter(({ newCharged }) => newCharged === null).map(({ model }) => model),
    complete: preview.complete,
  };
}
