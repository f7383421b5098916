/**
 * What the gateway reads out of one event of a chat completion stream without parsing it: whether it may carry usage or
 * an error, and how many bytes of answer it delivers. Parsing each chunk would cost more than the rest of the hop.
 */

const usageMark = Buffer.from('"usage"');
const errorMark = Buffer.from('"error"');
const finishMark = Buffer.from('"finish_reason"');
/** Fields of a delta whose string values are answer text the customer pays for. */
const reasoningMarks = marksOf("reasoning_content", "reasoning");
const answerMarks = marksOf("content", "refusal", "arguments", "input");
/** Of completions, and of parts. */
const textMark = marksOf("text");
const detailsMark = Buffer.from('"reasoning_details"');
const colon = 0x3a;
const quote = 0x22;
const backslash = 0x5c;

export function isDone(data: Buffer): boolean {
  return data.length === 6 && data.toString("latin1") === "[DONE]";
}

/** Only such events are JSON-parsed. */
export function needsParsing(data: Buffer): boolean {
  return data.includes(usageMark) || data.includes(errorMark);
}

/** True when a finish reason is given, which is a string; `null` is "not yet". */
export function mayFinish(data: Buffer): boolean {
  for (let at = data.indexOf(finishMark); at >= 0; at = data.indexOf(finishMark, at + finishMark.length)) {
    if (startOfString(data, at + finishMark.length) >= 0) return true;
  }
  return false;
}

/** UTF-8 bytes of answer text in the event, escapes counted as written: a deterministic measure of what was delivered. */
export function answerBytes(data: Buffer): number {
  const reasoning = textBytesAt(data, reasoningMarks);
  // The details repeat the reasoning that stands beside them.
  const repeated = reasoning > 0 && data.includes(detailsMark);
  return reasoning + textBytesAt(data, answerMarks) + (repeated ? 0 : textBytesAt(data, textMark));
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
