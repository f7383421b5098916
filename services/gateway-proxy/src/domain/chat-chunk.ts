import type { SseEvent } from "./sse-scanner.ts";

/**
 * What the gateway reads out of one event of a chat completion stream without parsing it: whether it may carry usage or
 * an error, and how many bytes of answer it delivers. Parsing each chunk would cost more than the rest of the hop, and so would
 * a search for each name; one pass over the names finds all of them.
 */
export interface ChunkFacts {
  /** It may carry usage or an error: only such events are JSON-parsed. */
  readonly needsParsing: boolean;
  /** A finish reason is given, which is a string; `null` is "not yet". */
  readonly mayFinish: boolean;
  /** UTF-8 bytes of answer text, escapes counted as written: a deterministic measure of what was delivered. */
  readonly answerBytes: number;
  /** Where in the event the answer text begins, if that is one string; -1 where it is none or several. */
  readonly answerFrom: number;
}

type Field = "parse" | "finish" | "reasoning" | "answer" | "text" | "details";

/** Names by their length. The values of `answer` and `reasoning` are text the customer pays for. */
const fields: readonly (readonly (readonly [name: string, field: Field])[])[] = byLength([
  ["usage", "parse"],
  ["error", "parse"],
  ["finish_reason", "finish"],
  ["reasoning_content", "reasoning"],
  ["reasoning", "reasoning"],
  ["content", "answer"],
  ["refusal", "answer"],
  ["arguments", "answer"],
  ["input", "answer"],
  // Of completions, and of parts.
  ["text", "text"],
  ["reasoning_details", "details"],
]);

const colon = 0x3a;
const quote = 0x22;
const backslash = 0x5c;
const brace = 0x7b;

/** A stretch of a text that has one letter for each byte. */
export type Letters = Pick<SseEvent, "text" | "from" | "to">;

export function isDone({ text, from, to }: Letters): boolean {
  return to - from === 6 && text.startsWith("[DONE]", from);
}

export function chunkFacts({ text, from, to }: Letters): ChunkFacts {
  let [reasoning, answer, other, strings, answerFrom] = [0, 0, 0, 0, -1];
  // What is no object is nothing that may be passed on; the parser says so.
  let needsParsing = !isAt(text, skipSpace(text, from, to), to, brace);
  let [mayFinish, hasDetails] = [false, false];
  for (let at = from; at < to; at += 1) {
    if (text.charCodeAt(at) !== quote) continue;
    const begin = at + 1;
    at = endOfString(text, begin, to);
    const field = fieldAt(text, begin, at);
    if (field === undefined) continue;
    const start = startOfString(text, at + 1, to);
    if (field === "parse") needsParsing ||= isName(text, at + 1, to);
    else if (field === "details") hasDetails ||= isName(text, at + 1, to);
    else if (start >= 0) {
      at = endOfString(text, start, to);
      if (field === "finish") {
        mayFinish = true;
        continue;
      }
      strings += 1;
      answerFrom = start - from;
      if (field === "reasoning") reasoning += at - start;
      else if (field === "answer") answer += at - start;
      else other += at - start;
    }
  }
  // The details repeat the reasoning that stands beside them.
  const repeated = reasoning > 0 && hasDetails;
  const answerBytes = reasoning + answer + (repeated ? 0 : other);
  return { needsParsing, mayFinish, answerBytes, answerFrom: strings === 1 ? answerFrom : -1 };
}

/** Larger events are pictures or whole answers, of which no two are alike. */
const alikeBytesMax = 4_096;

/**
 * The facts of one event after another. The chunks of a stream are alike but for a few letters of answer, so each is compared
 * with what stood before and behind the text of the last one; that takes a tenth of going over its names.
 */
export class ChunkReader {
  private before = "";
  private behind = "";

  /** The same as {@link chunkFacts}. */
  read(event: Letters & Pick<SseEvent, "bytes">): ChunkFacts {
    const { text, from, to } = event;
    const start = from + this.before.length;
    // A part compared as a whole takes less than half of what `startsWith` does.
    if (this.before !== "" && text.slice(from, start) === this.before) {
      const end = endOfString(text, start, to);
      if (text.slice(end, to) === this.behind) {
        return { needsParsing: false, mayFinish: false, answerBytes: end - start, answerFrom: start - from };
      }
    }
    const facts = chunkFacts(event);
    this.remember(event, facts);
    return facts;
  }

  /** Copies: a part of a string keeps the whole of it alive, for as long as the stream. */
  private remember({ bytes, from, to }: Pick<SseEvent, "bytes" | "from" | "to">, facts: ChunkFacts): void {
    const { needsParsing, mayFinish, answerFrom, answerBytes } = facts;
    if (needsParsing || mayFinish || answerFrom < 0 || to - from > alikeBytesMax) return;
    const start = from + answerFrom;
    this.before = bytes.toString("latin1", from, start);
    this.behind = bytes.toString("latin1", start + answerBytes, to);
  }
}

function byLength(names: readonly (readonly [string, Field])[]): (readonly [string, Field])[][] {
  const table: (readonly [string, Field])[][] = [];
  for (const entry of names) (table[entry[0].length] ??= []).push(entry);
  return table;
}

function fieldAt(text: string, begin: number, end: number): Field | undefined {
  return fields[end - begin]?.find(([name]) => text.startsWith(name, begin))?.[1];
}

function isName(text: string, from: number, to: number): boolean {
  return isAt(text, skipSpace(text, from, to), to, colon);
}

function isAt(text: string, at: number, to: number, code: number): boolean {
  return at < to && text.charCodeAt(at) === code;
}

/** Field names as they stand in JSON, for {@link textBytesAt}. */
export function marksOf(...names: readonly string[]): readonly string[] {
  return names.map((name) => `"${name}"`);
}

/** UTF-8 bytes of the string values of these fields, escapes counted as written. */
export function textBytesAt({ text, from, to }: Letters, marks: readonly string[]): number {
  // Of the event alone: a name that it does not have would be looked for in all that came with it.
  const letters = text.slice(from, to);
  let total = 0;
  for (const mark of marks) {
    let at = letters.indexOf(mark);
    while (at >= 0) {
      let end = at + mark.length;
      const start = startOfString(letters, end, letters.length);
      if (start >= 0) {
        end = endOfString(letters, start, letters.length);
        total += end - start;
      }
      at = letters.indexOf(mark, end);
    }
  }
  return total;
}

/** Where the text of a field's string value begins, after its colon; -1 when the value is no string. Some servers write spaces. */
function startOfString(text: string, from: number, to: number): number {
  const separator = skipSpace(text, from, to);
  if (!isAt(text, separator, to, colon)) return -1;
  const value = skipSpace(text, separator + 1, to);
  return isAt(text, value, to, quote) ? value + 1 : -1;
}

function skipSpace(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function endOfString(text: string, from: number, to: number): number {
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if (code === backslash) at += 1;
    else if (code === quote) return at;
  }
  return to;
}
