import { priceBound, type ModelPrice } from "@codex/contracts";
import { maxBigint, type MicroTokens } from "@codex/kernel";

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

export interface HoldInput {
  readonly bodyBytes: number;
  /** Tokens of the text and of the messages' frames, when they were counted; undefined leaves the bytes as the bound. */
  readonly countedTokens?: number;
  readonly imageUrls: number;
  /** What the client asked for, already validated; undefined when it set no bound. */
  readonly outputTokensAsked: number | undefined;
  /** Number of answers (`n`). */
  readonly answers: number;
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
  return Math.min(counted, bodyBytes) + imageUrls * imageTokensMax;
}

/** Prices the dearest class a token can turn out to be: a prompt token may be a cache write, an answer token reasoning. */
function boundOf(price: ModelPrice, inputTokens: number, outputTokens: number): MicroTokens {
  const dearest: ModelPrice = {
    ...price,
    rates: {
      ...price.rates,
      input: maxBigint(maxBigint(price.rates.input, price.rates.cacheWrite), price.rates.cachedInput),
      output: maxBigint(price.rates.output, price.rates.reasoning),
    },
  };
  return priceBound(dearest, { input: inputTokens, cachedInput: 0, cacheWrite: 0, output: outputTokens, reasoning: 0 });
}

export function holdFor(price: ModelPrice, input: HoldInput): Hold {
  const outputTokens = Math.min(input.outputTokensAsked ?? price.outputTokensMax, price.outputTokensMax);
  return { amount: boundOf(price, inputTokensBound(input), outputTokens * input.answers), outputTokens };
}

/** An answer shorter than this is not worth being cut down to. */
export const outputTokensUseful = 64;

/**
 * The largest hold that fits into `available` by shortening the answer; undefined when the client set the bound itself
 * or when not even a useful answer fits.
 */
export function shortenedHold(price: ModelPrice, input: HoldInput, available: MicroTokens): Hold | undefined {
  if (input.outputTokensAsked !== undefined) return undefined;
  let low = outputTokensUseful;
  let high = price.outputTokensMax;
  const amountOf = (outputTokens: number): MicroTokens =>
    boundOf(price, inputTokensBound(input), outputTokens * input.answers);
  if (low > high || amountOf(low) > available) return undefined;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (amountOf(middle) <= available) low = middle;
    else high = middle - 1;
  }
  return { amount: amountOf(low), outputTokens: low };
}
