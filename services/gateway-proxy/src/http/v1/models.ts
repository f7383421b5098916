import type { Rates } from "@codex/contracts";
import { formatAmount, type MicroTokens } from "@codex/kernel";
import type { Catalogue, Offer } from "../../app/catalogue.ts";
import { invalid } from "../../domain/fields.ts";

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

function offersFor(catalogue: Catalogue, allowed: readonly string[] | null): readonly Offer[] {
  return catalogue.models().filter((offer) => allowed === null || allowed.includes(offer.price.model));
}

/** Only what this key may use. */
export function listModels(catalogue: Catalogue, allowed: readonly string[] | null): Readonly<Record<string, unknown>> {
  return { object: "list", data: offersFor(catalogue, allowed).map(modelObject) };
}

/** Throws AppError `model_not_found` or `model_not_allowed`. */
export function oneModel(
  catalogue: Catalogue,
  model: string,
  allowed: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  return modelObject(catalogue.offer(model, allowed));
}

const pageDefault = 20;
const pageMax = 1_000;

/** Anthropic's entry. When a model was made nobody told us; their form wants a date, and the same one each time. */
function anthropicModel({ price }: Offer): Readonly<Record<string, unknown>> {
  return { type: "model", id: price.model, display_name: price.displayName, created_at: "1970-01-01T00:00:00Z" };
}

/**
 * A page as Anthropic's API has it (platform.claude.com/docs/en/api/models-list): `limit` from 1 to 1000, `after_id` or
 * `before_id`. Throws AppError (kind `invalid`) for other values.
 */
export function listAnthropicModels(
  catalogue: Catalogue,
  query: URLSearchParams,
  allowed: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  const offers = offersFor(catalogue, allowed);
  const limit = limitOf(query);
  const after = positionOf(offers, query.get("after_id"), "after_id");
  const before = positionOf(offers, query.get("before_id"), "before_id");
  const start = before === undefined ? (after ?? -1) + 1 : Math.max(0, before - limit);
  const end = before === undefined ? start + limit : before;
  const page = offers.slice(start, end);
  return {
    data: page.map(anthropicModel),
    first_id: page[0]?.price.model ?? null,
    last_id: page.at(-1)?.price.model ?? null,
    has_more: before === undefined ? end < offers.length : start > 0,
  };
}

function limitOf(query: URLSearchParams): number {
  const asked = query.get("limit");
  if (asked === null) return pageDefault;
  const limit = /^\d{1,4}$/.test(asked) ? Number.parseInt(asked, 10) : 0;
  if (limit < 1 || limit > pageMax) throw invalid("limit", `limit: expected an integer from 1 to ${pageMax}`);
  return limit;
}

function positionOf(offers: readonly Offer[], id: string | null, param: string): number | undefined {
  if (id === null) return undefined;
  const position = offers.findIndex(({ price }) => price.model === id);
  if (position < 0) throw invalid(param, `${param}: there is no such model in this list`);
  return position;
}

export function oneAnthropicModel(
  catalogue: Catalogue,
  model: string,
  allowed: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  return anthropicModel(catalogue.offer(model, allowed));
}
