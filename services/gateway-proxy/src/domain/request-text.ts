/**
 * The text of a request that a tokenizer would see, as pieces without long unbroken runs: byte-pair tokenizers are
 * quadratic in the length of a run (40,000 letters took seconds), and counting a run in pieces can only count too many.
 */

/** Longest unbroken run handed to a tokenizer, in UTF-16 units. */
export const runLengthMax = 256;
/** Larger texts are not counted: the cheap bound stands. */
export const countedTextMax = 1_000_000;
/** Tokens a message costs beside its text: role, separators (OpenAI cookbook, 2024: 3 to 4). */
const tokensPerMessage = 8;
const depthMax = 16;

export interface RequestText {
  readonly pieces: readonly string[];
  /** Tokens that are not in the text. */
  readonly overheadTokens: number;
}

/** Undefined when the request is too large or too deep to be counted. Images by data URL are left out: they are bounded apart. */
export function requestText(body: Readonly<Record<string, unknown>>): RequestText | undefined {
  const pieces: string[] = [];
  let length = 0;
  const visit = (value: unknown, depth: number): boolean => {
    if (depth > depthMax) return false;
    if (typeof value === "string") {
      if (value.startsWith("data:")) return true;
      length += value.length;
      if (length > countedTextMax) return false;
      pieces.push(...splitRuns(value));
      return true;
    }
    if (typeof value !== "object" || value === null) return true;
    const names = Array.isArray(value) ? [] : Object.keys(value);
    const values: readonly unknown[] = Object.values(value);
    return [...names, ...values].every((inner) => visit(inner, depth + 1));
  };
  const { messages, tools, functions, response_format: format } = body;
  if (![messages, tools, functions, format].every((part) => visit(part, 0))) return undefined;
  const count = Array.isArray(messages) ? messages.length : 0;
  return { pieces, overheadTokens: (count + 1) * tokensPerMessage };
}

function splitRuns(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  for (const match of text.matchAll(/\S{257,}/g)) {
    pieces.push(text.slice(start, match.index));
    for (let at = 0; at < match[0].length; at += runLengthMax) pieces.push(match[0].slice(at, at + runLengthMax));
    start = match.index + match[0].length;
  }
  pieces.push(text.slice(start));
  return pieces.filter((piece) => piece !== "");
}
