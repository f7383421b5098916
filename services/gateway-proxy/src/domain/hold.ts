import { priceBound, type ModelPrice, type PriceGroup } from "@codex/contracts";
import type { MicroTokens } from "@codex/kernel";

/**
 * The worst case of a request, before it is sent (SEC-101). A byte is at least one token in no byte-level tokenizer, so
 * the number of bytes is a true upper bound of the prompt's tokens; text parts that name an image by URL add a fixed
 * bound each, because the picture's tokens do not show in the request.
 */

/** Tokens one referenced image can cost at most: high detail, 16 tiles and the base (vendors' pages, 2026-11). */
export const imageTokensMax = 4_096;

/**
 * A count by one tokenizer stands in for all; other vendors' tokenizers find up to a quarter more tokens in the same text.
 * Erring low costs the operator, never the customer: the charge stays within the hold.
 */
const countMargin = { numerator: 5, denominator: 4 };

/** What decides the price besides the usage. */
export interface HoldTerms {
  readonly price: ModelPrice;
  readonly groups: readonly PriceGroup[];
  /** Undefined while nobody knows the account's group: the dearest one is taken. */
  readonly priceGroup: string | undefined;
  /** RFC 3339 in UTC, of the admission: the same moment decides the charge. */
  readonly startedAt: string;
}

export interface HoldInput {
  readonly bodyBytes: number;
  /** Tokens of the text and of the messages' frames, when they were counted; undefined leaves the bytes as the bound. */
  readonly countedTokens?: number;
  readonly imageUrls: number;
  /** What the client asked for, already validated; undefined when it set no bound. */
  readonly outputTokensAsked: number | undefined;
  /** Number of answers (`n`); 0 where an answer has no tokens. */
  readonly answers: number;
  /** Whether the request can make the provider keep its prompt for an hour. Absent: no. */
  readonly hourCache?: boolean;
  /** Prompt tokens of sound, which do not show in the text. */
  readonly mediaTokens?: number;
  /** Pictures asked for; undefined variant: any. */
  readonly images?: { readonly count: number; readonly variant: string | undefined };
  /** The longest that the sound can be. */
  readonly audioMs?: number;
}

export interface Hold {
  readonly amount: MicroTokens;
  /** Output bound of one answer that the hold covers; sent upstream. */
  readonly outputTokens: number;
}

function inputTokensBound(input: HoldInput): number {
  const { countedTokens, bodyBytes, imageUrls } = input;
  const counted =
    countedTokens === undefined
      ? bodyBytes
      : Math.ceil((countedTokens * countMargin.numerator) / countMargin.denominator);
  return Math.min(counted, bodyBytes) + imageUrls * imageTokensMax + (input.mediaTokens ?? 0);
}

/** Whatever class, tier or variant it turns out to be: see priceBound. */
function boundOf(terms: HoldTerms, input: HoldInput, outputTokens: number): MicroTokens {
  const { price, groups, priceGroup, startedAt } = terms;
  const bound = {
    promptTokens: inputTokensBound(input),
    hourCache: input.hourCache ?? false,
    answerTokens: outputTokens * input.answers,
    images: input.images ?? null,
    audioMs: input.audioMs ?? 0,
    startedAt,
    priceGroup,
  };
  return priceBound(price, bound, groups);
}

export function holdFor(terms: HoldTerms, input: HoldInput): Hold {
  const { outputTokensMax } = terms.price;
  const outputTokens = Math.min(input.outputTokensAsked ?? outputTokensMax, outputTokensMax);
  return { amount: boundOf(terms, input, outputTokens), outputTokens };
}

/** An answer shorter than this is not worth being cut down to. */
export const outputTokensUseful = 64;

/**
 * The largest hold that fits into `available` by shortening the answer; undefined when the client set the bound itself
 * or when not even a useful answer fits.
 */
export function shortenedHold(terms: HoldTerms, input: HoldInput, available: MicroTokens): Hold | undefined {
  if (input.outputTokensAsked !== undefined || input.answers === 0) return undefined;
  let low = outputTokensUseful;
  let high = terms.price.outputTokensMax;
  const amountOf = (outputTokens: number): MicroTokens => boundOf(terms, input, outputTokens);
  if (low > high || amountOf(low) > available) return undefined;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (amountOf(middle) <= available) low = middle;
    else high = middle - 1;
  }
  return { amount: amountOf(low), outputTokens: low };
}
