import type { HoldInput } from "./hold.ts";
import type { RequestText } from "./request-text.ts";
import { estimateTokens } from "./usage.ts";

/**
 * What a request is thought to use, for the limit of tokens a minute. Not the bound that its money is held by: that is true
 * of any request and four times too high for most, and a limit that counted so would refuse what fits. The end corrects it.
 */

/** The answer of a request that set no bound: most answers are shorter. Above what the limit's bucket takes at once nothing is lost. */
const answerTokensAssumed = 1_024;
/** A picture as vendors count it: at most 1,600 tokens for 1.15 megapixels (platform.claude.com/docs, vision, 2026-11). */
const imageTokens = 1_600;
/** Base64 of a page of a PDF that stands for one of its tokens: about 4,000 tokens in 100 kB. */
const documentBytesPerToken = 16;

/** Bodies above this may hold pictures, which are no text: then the text is looked for. */
export const looksForTextAbove = 65_536;

/** `text` of a large body; undefined: every byte of the body is text. */
export function tokensEstimate(input: HoldInput, outputTokensMax: number, text: RequestText | undefined): number {
  const { bodyBytes, imageUrls, mediaTokens = 0, outputTokensAsked = answerTokensAssumed, answers } = input;
  const prompt = text ? textTokens(text) : estimateTokens(bodyBytes);
  return prompt + imageUrls * imageTokens + mediaTokens + Math.min(outputTokensAsked, outputTokensMax) * answers;
}

function textTokens({ pieces, overheadTokens }: RequestText): number {
  const bytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
  return estimateTokens(bytes) + Math.ceil(overheadTokens / documentBytesPerToken);
}
