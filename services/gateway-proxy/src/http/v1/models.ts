import type { Rates } from "@codex/contracts";
import { formatAmount, type MicroTokens } from "@codex/kernel";
import type { Catalogue, Offer } from "../../app/catalogue.ts";

/** OpenAI's list of models, with prices as strings per single model token (the keys are OpenRouter's, in the unit `token`). */

/** Rates are micro-tokens per million model tokens, so one model token costs rate × 10⁻¹² tokens: twelve fraction digits, exact. */
function perModelToken(rate: MicroTokens): string {
  const digits = rate.toString().padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  const whole = digits.slice(0, -12);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

function modelObject({ price }: Offer): Readonly<Record<string, unknown>> {
  return {
    id: price.model,
    object: "model",
    created: 0,
    owned_by: "codex-api",
    name: price.displayName,
    context_length: price.contextTokens,
    max_output_tokens: price.outputTokensMax,
    pricing: {
      ...ratesObject(price.rates),
      request: formatAmount(price.perRequest),
      images: Object.fromEntries(price.perImage.map((image) => [image.variant, formatAmount(image.microTokens)])),
      audio_second: formatAmount(price.perAudioSecond),
      tiers: price.tiers.map((tier) => ({ above_prompt_tokens: tier.aboveInputTokens, ...ratesObject(tier.rates) })),
      off_peak: price.offPeak.map((window) => ({
        days: window.days,
        from_utc: window.fromUtc,
        to_utc: window.toUtc,
        multiplier_ppm: window.multiplierPpm,
      })),
      currency: "token",
    },
  };
}

function ratesObject(rates: Rates): Readonly<Record<string, string>> {
  return {
    prompt: perModelToken(rates.input),
    completion: perModelToken(rates.output),
    input_cache_read: perModelToken(rates.cachedInput),
    input_cache_write: perModelToken(rates.cacheWrite),
    input_cache_write_1h: perModelToken(rates.cacheWrite1h),
    internal_reasoning: perModelToken(rates.reasoning),
  };
}

/** Only what this key may use. */
export function listModels(catalogue: Catalogue, allowed: readonly string[] | null): Readonly<Record<string, unknown>> {
  const offers = catalogue.models().filter((offer) => allowed === null || allowed.includes(offer.price.model));
  return { object: "list", data: offers.map(modelObject) };
}

/** Throws AppError `model_not_found` or `model_not_allowed`. */
export function oneModel(
  catalogue: Catalogue,
  model: string,
  allowed: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  return modelObject(catalogue.offer(model, allowed));
}
