import { divideCeil, divideHalfEven, maxBigint, type MicroTokens } from "@codex/kernel/money";
import {
  defaultPriceGroup,
  tokenClasses,
  weekDays,
  type ModelPrice,
  type OffPeakWindow,
  type PriceGroup,
  type Rates,
  type TokenCounts,
} from "./pricing.ts";

/**
 * The price contract, its arithmetic (docs/adr/0009):
 *
 *   cost = (Σ tokens × rate / 10⁶ + images × perImage + audioMs × perAudioSecond / 10³ + perRequest)
 *          × off-peak multiplier × group multiplier
 *
 * as an exact fraction, rounded once, half to even, to a micro-token. The multipliers apply to everything, the part per
 * request included. What this computes is a contract: another result for the same book and usage needs a new version of it.
 */

/** What is charged. A usage record is one. */
export interface PricedUsage {
  readonly tokens: TokenCounts;
  readonly images: { readonly count: number; readonly variant: string } | null;
  readonly audioMs: number;
  /** RFC 3339 in UTC, milliseconds at the finest: when the request was admitted. */
  readonly startedAt: string;
  /** Group of the account when the request was admitted. */
  readonly priceGroup: string;
}

/** What a request can use at most, before it is sent. */
export interface UsageBound {
  readonly promptTokens: number;
  /** Whether the request can make the provider keep its prompt for an hour: the dearest class, which few requests ask for. */
  readonly hourCache: boolean;
  readonly answerTokens: number;
  /** Undefined variant: any. */
  readonly images: { readonly count: number; readonly variant: string | undefined } | null;
  readonly audioMs: number;
  /** Undefined: the dearest time of the week. */
  readonly startedAt: string | undefined;
  /** Undefined: the dearest group of the book. */
  readonly priceGroup: string | undefined;
}

/** Which of the book's terms a usage falls under. */
export interface AppliedTerms {
  /** Bound of the tier that applies; null below the first. */
  readonly aboveInputTokens: number | null;
  readonly rates: Rates;
  /** Micro-tokens a picture. */
  readonly imageRate: MicroTokens;
  readonly offPeakPpm: number;
  readonly groupPpm: number;
  /** False when the group is not in the book and pays as `default`. */
  readonly groupKnown: boolean;
}

/** Usage of tokens alone, by a customer of the default group. */
export function tokensOnly(tokens: TokenCounts, startedAt = "1970-01-01T00:00:00.000Z"): PricedUsage {
  return { tokens, images: null, audioMs: 0, startedAt, priceGroup: defaultPriceGroup };
}

/** Tokens of the prompt in all its classes: what a tier's bound is compared with. */
export function promptTokensOf(tokens: TokenCounts): number {
  return tokens.input + tokens.cachedInput + tokens.cacheWrite + tokens.cacheWrite1h;
}

export function termsOf(price: ModelPrice, usage: PricedUsage, groups: readonly PriceGroup[]): AppliedTerms {
  const prompt = promptTokensOf(usage.tokens);
  const tier = price.tiers.findLast(({ aboveInputTokens }) => prompt > aboveInputTokens);
  return {
    aboveInputTokens: tier?.aboveInputTokens ?? null,
    rates: tier?.rates ?? price.rates,
    imageRate: usage.images === null ? 0n : imageRate(price, usage.images.variant),
    offPeakPpm: offPeakPpm(price, usage.startedAt),
    groupPpm: groupPpm(groups, usage.priceGroup),
    groupKnown: usage.priceGroup === defaultPriceGroup || groups.some(({ group }) => group === usage.priceGroup),
  };
}

/** One of these is a micro-token × 10⁻¹⁸: a millionth of a rate's million, and two multipliers. */
const million = 1_000_000n;
const parts = million * million * million;

/** What this usage costs, in micro-tokens: the exact fraction, rounded once half to even. */
export function priceUsage(price: ModelPrice, usage: PricedUsage, groups: readonly PriceGroup[]): MicroTokens {
  const terms = termsOf(price, usage, groups);
  const tokens = tokenClasses.reduce((sum, name) => sum + BigInt(usage.tokens[name]) * terms.rates[name], 0n);
  const exact = tokens + extraMillionths(price, usage.images?.count ?? 0, terms.imageRate, usage.audioMs);
  return divideHalfEven(exact * BigInt(terms.offPeakPpm) * BigInt(terms.groupPpm), parts);
}

/**
 * Upper bound of what a request can cost, in micro-tokens, rounded up: never below {@link priceUsage} of any usage within the
 * bound, whichever classes, tier, time and group it turns out to have (SEC-101). Every class of prompt token is taken for the
 * dearest, and so is every tier the prompt can reach: a short prompt may cost more than a long one.
 */
export function priceBound(price: ModelPrice, bound: UsageBound, groups: readonly PriceGroup[]): MicroTokens {
  const reachable = price.tiers.filter(({ aboveInputTokens }) => bound.promptTokens > aboveInputTokens);
  const tokens = [price.rates, ...reachable.map((tier) => tier.rates)]
    .map((rates) => dearestTokens(rates, bound))
    .reduce(maxBigint);
  const variants = price.perImage.map(({ microTokens }) => microTokens);
  const image =
    bound.images?.variant === undefined ? variants.reduce(maxBigint, 0n) : imageRate(price, bound.images.variant);
  const exact = tokens + extraMillionths(price, bound.images?.count ?? 0, image, bound.audioMs);
  const time =
    bound.startedAt === undefined
      ? Math.max(ppmOne, ...price.offPeak.map((window) => window.multiplierPpm))
      : offPeakPpm(price, bound.startedAt);
  const share =
    bound.priceGroup === undefined
      ? Math.max(groupPpm(groups, defaultPriceGroup), ...groups.map((group) => group.multiplierPpm))
      : groupPpm(groups, bound.priceGroup);
  return divideCeil(exact * BigInt(time) * BigInt(share), parts);
}

function dearestTokens(rates: Rates, { promptTokens, answerTokens, hourCache }: UsageBound): bigint {
  const short = [rates.input, rates.cachedInput, rates.cacheWrite].reduce(maxBigint);
  const prompt = hourCache ? maxBigint(short, rates.cacheWrite1h) : short;
  return BigInt(promptTokens) * prompt + BigInt(answerTokens) * maxBigint(rates.output, rates.reasoning);
}

/** Everything besides tokens, in millionths of a micro-token. */
function extraMillionths(price: ModelPrice, images: number, rate: MicroTokens, audioMs: number): bigint {
  return BigInt(images) * rate * million + BigInt(audioMs) * price.perAudioSecond * 1_000n + price.perRequest * million;
}

function imageRate(price: ModelPrice, variant: string): MicroTokens {
  const listed = price.perImage.find((candidate) => candidate.variant === variant);
  return listed?.microTokens ?? price.perImage.reduce((most, { microTokens }) => maxBigint(most, microTokens), 0n);
}

const ppmOne = 1_000_000;

function groupPpm(groups: readonly PriceGroup[], name: string): number {
  const found = groups.find(({ group }) => group === name) ?? groups.find(({ group }) => group === defaultPriceGroup);
  return found?.multiplierPpm ?? ppmOne;
}

function offPeakPpm(price: ModelPrice, startedAt: string): number {
  if (price.offPeak.length === 0) return ppmOne;
  const atMs = Date.parse(startedAt);
  return price.offPeak.find((window) => holds(window, atMs))?.multiplierPpm ?? ppmOne;
}

const dayMs = 86_400_000;

function holds(window: OffPeakWindow, atMs: number): boolean {
  const timeMs = ((atMs % dayMs) + dayMs) % dayMs;
  const days = Math.floor(atMs / dayMs);
  const [fromMs, toMs] = [timeOfDayMs(window.fromUtc), timeOfDayMs(window.toUtc)];
  if (fromMs < toMs) return fromMs <= timeMs && timeMs < toMs && begins(window, days);
  return (fromMs <= timeMs && begins(window, days)) || (timeMs < toMs && begins(window, days - 1));
}

/** 1970-01-01 was a Thursday, the fourth day of the week. */
function begins(window: OffPeakWindow, daysSince1970: number): boolean {
  const day = weekDays[(((daysSince1970 + 3) % 7) + 7) % 7];
  return day !== undefined && window.days.includes(day);
}

function timeOfDayMs(time: string): number {
  const [hours = "0", minutes = "0"] = time.split(":");
  return (Number.parseInt(hours, 10) * 60 + Number.parseInt(minutes, 10)) * 60_000;
}
