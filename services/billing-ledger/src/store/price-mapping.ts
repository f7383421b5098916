import { modelPrice, priceBook, type ModelPrice, type PriceBook, type PriceGroup } from "@codex/contracts";
import type { Selectable } from "kysely";
import { z } from "zod";
import { toCount } from "./mapping.ts";
import type { PriceRowTable } from "./schema.ts";

const { perImage, tiers, offPeak } = modelPrice.shape;
const { groups } = priceBook.shape;

/** Throws when the JSON columns hold what the contract does not know: a newer version of the service wrote them. */
export function fromDbPriceRow(row: Selectable<PriceRowTable>): ModelPrice {
  return {
    model: row.model,
    displayName: row.display_name,
    contextTokens: toCount(row.context_tokens),
    outputTokensMax: toCount(row.output_tokens_max),
    rates: {
      input: row.rate_input,
      cachedInput: row.rate_cached_input,
      cacheWrite: row.rate_cache_write,
      cacheWrite1h: row.rate_cache_write_1h ?? row.rate_cache_write,
      output: row.rate_output,
      reasoning: row.rate_reasoning,
    },
    perRequest: row.per_request,
    perImage: perImage.parse(row.per_image),
    perAudioSecond: row.per_audio_second,
    tiers: tiers.parse(row.tiers),
    offPeak: offPeak.parse(row.off_peak),
  };
}

export function toDbPriceRow(priceVersion: string, price: ModelPrice): Selectable<PriceRowTable> {
  return {
    price_version: priceVersion,
    model: price.model,
    display_name: price.displayName,
    context_tokens: BigInt(price.contextTokens),
    output_tokens_max: BigInt(price.outputTokensMax),
    rate_input: price.rates.input,
    rate_cached_input: price.rates.cachedInput,
    rate_cache_write: price.rates.cacheWrite,
    rate_cache_write_1h: price.rates.cacheWrite1h,
    rate_output: price.rates.output,
    rate_reasoning: price.rates.reasoning,
    per_request: price.perRequest,
    per_audio_second: price.perAudioSecond,
    per_image: toJson(perImage, price.perImage),
    tiers: toJson(tiers, price.tiers),
    off_peak: toJson(offPeak, price.offPeak),
  };
}

export function fromDbGroups(value: unknown): PriceGroup[] {
  return groups.parse(value);
}

export function toDbGroups(value: PriceBook["groups"]): string {
  return toJson(groups, value);
}

/** Text, because the driver takes an array for one of Postgres. */
function toJson<S extends z.ZodType>(schema: S, value: z.output<S>): string {
  return JSON.stringify(z.encode(schema, value));
}
