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

/** Of a chat completion. */
export function requestText(body: Readonly<Record<string, unknown>>): RequestText | undefined {
  const { messages, tools, functions, response_format: format } = body;
  return textOfParts([messages, tools, functions, format], Array.isArray(messages) ? messages.length : 0);
}

/**
 * The text of these parts of a request; `items` is the number of its messages. Undefined when they are too large or too deep
 * to be counted. Pictures are left out, because they are bounded apart; of documents every byte counts as a token, because
 * nobody knows what is in them.
 */
export function textOfParts(parts: readonly unknown[], items: number): RequestText | undefined {
  const reader = new TextReader();
  if (!parts.every((part) => reader.visit(part, 0))) return undefined;
  return { pieces: reader.pieces, overheadTokens: (items + 1) * tokensPerMessage + reader.documentBytes };
}

class TextReader {
  readonly pieces: string[] = [];
  documentBytes = 0;
  private length = 0;

  /** False: too much. */
  visit(value: unknown, depth: number): boolean {
    if (depth > depthMax) return false;
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return true;
    if (isEncodedSource(value)) {
      if (!value.media_type.startsWith("image/")) this.documentBytes += value.data.length;
      return true;
    }
    const names = Array.isArray(value) ? [] : Object.keys(value);
    const values: readonly unknown[] = Object.values(value);
    return [...names, ...values].every((inner) => this.visit(inner, depth + 1));
  }

  private text(value: string): boolean {
    if (value.startsWith("data:")) {
      if (!value.startsWith("data:image/")) this.documentBytes += value.length;
      return true;
    }
    this.length += value.length;
    if (this.length > countedTextMax) return false;
    this.pieces.push(...splitRuns(value));
    return true;
  }
}

/** Anthropic's form of what OpenAI writes as a data URL. */
function isEncodedSource(value: object): value is { readonly media_type: string; readonly data: string } {
  return (
    "type" in value &&
    value.type === "base64" &&
    "media_type" in value &&
    typeof value.media_type === "string" &&
    "data" in value &&
    typeof value.data === "string"
  );
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
