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
}

type Field = "parse" | "finish" | "reasoning" | "answer" | "text" | "details";

/** Names by their length in bytes. The values of `answer` and `reasoning` are text the customer pays for. */
const fields: readonly (readonly (readonly [name: Buffer, field: Field])[])[] = byLength([
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

export function isDone(data: Buffer): boolean {
  return data.length === 6 && data.toString("latin1") === "[DONE]";
}

export function chunkFacts(data: Buffer): ChunkFacts {
  const bytes = { reasoning: 0, answer: 0, text: 0 };
  // What is no object is nothing that may be passed on; the parser says so.
  let needsParsing = data[skipSpace(data, 0)] !== brace;
  let [mayFinish, hasDetails] = [false, false];
  for (let at = 0; at < data.length; at += 1) {
    if (data[at] !== quote) continue;
    const begin = at + 1;
    at = endOfString(data, begin);
    const field = fieldAt(data, begin, at);
    if (field === undefined) continue;
    const start = startOfString(data, at + 1);
    if (field === "parse") needsParsing ||= isName(data, at + 1);
    else if (field === "details") hasDetails ||= isName(data, at + 1);
    else if (start >= 0) {
      at = endOfString(data, start);
      if (field === "finish") mayFinish = true;
      else bytes[field] += at - start;
    }
  }
  // The details repeat the reasoning that stands beside them.
  const repeated = bytes.reasoning > 0 && hasDetails;
  return { needsParsing, mayFinish, answerBytes: bytes.reasoning + bytes.answer + (repeated ? 0 : bytes.text) };
}

function byLength(names: readonly (readonly [string, Field])[]): (readonly [Buffer, Field])[][] {
  const table: (readonly [Buffer, Field])[][] = [];
  for (const [name, field] of names) (table[name.length] ??= []).push([Buffer.from(name), field]);
  return table;
}

function fieldAt(data: Buffer, begin: number, end: number): Field | undefined {
  const candidates = fields[end - begin];
  if (candidates === undefined) return undefined;
  for (const [name, field] of candidates) {
    let at = 0;
    while (at < name.length && data[begin + at] === name[at]) at += 1;
    if (at === name.length) return field;
  }
  return undefined;
}

function isName(data: Buffer, from: number): boolean {
  return data[skipSpace(data, from)] === colon;
}

/** Field names as they stand in JSON, for {@link textBytesAt}. */
export function marksOf(...names: readonly string[]): readonly Buffer[] {
  return names.map((name) => Buffer.from(`"${name}"`));
}

/** UTF-8 bytes of the string values of these fields, escapes counted as written. */
export function textBytesAt(data: Buffer, marks: readonly Buffer[]): number {
  let total = 0;
  for (const mark of marks) {
    let at = data.indexOf(mark);
    while (at >= 0) {
      let end = at + mark.length;
      const start = startOfString(data, end);
      if (start >= 0) {
        end = endOfString(data, start);
        total += end - start;
      }
      at = data.indexOf(mark, end);
    }
  }
  return total;
}

/** Where the text of a field's string value begins, after its colon; -1 when the value is no string. Some servers write spaces. */
function startOfString(data: Buffer, from: number): number {
  const separator = skipSpace(data, from);
  if (data[separator] !== colon) return -1;
  const value = skipSpace(data, separator + 1);
  return data[value] === quote ? value + 1 : -1;
}

function skipSpace(data: Buffer, from: number): number {
  let at = from;
  while (data[at] === 0x20 || data[at] === 0x0a || data[at] === 0x0d || data[at] === 0x09) at += 1;
  return at;
}

function endOfString(data: Buffer, from: number): number {
  for (let at = from; at < data.length; at += 1) {
    if (data[at] === backslash) at += 1;
    else if (data[at] === quote) return at;
  }
  return data.length;
}
