/**
 * What the gateway reads out of one event of a chat completion stream without parsing it: whether it may carry usage or
 * an error, and how many bytes of answer it delivers. Parsing each chunk would cost more than the rest of the hop.
 */

const usageMark = Buffer.from('"usage"');
const errorMark = Buffer.from('"error"');
const finishMark = Buffer.from('"finish_reason":"');
/** String fields of a delta that are answer text the customer pays for. */
const textMarks = [
  Buffer.from('"content":"'),
  Buffer.from('"reasoning_content":"'),
  Buffer.from('"reasoning":"'),
  Buffer.from('"refusal":"'),
  Buffer.from('"arguments":"'),
  Buffer.from('"text":"'),
];
const quote = 0x22;
const backslash = 0x5c;

export function isDone(data: Buffer): boolean {
  return data.length === 6 && data.toString("latin1") === "[DONE]";
}

/** Only such events are JSON-parsed. */
export function needsParsing(data: Buffer): boolean {
  return data.includes(usageMark) || data.includes(errorMark);
}

export function mayFinish(data: Buffer): boolean {
  return data.includes(finishMark);
}

/** UTF-8 bytes of answer text in the event, escapes counted as written: a deterministic measure of what was delivered. */
export function answerBytes(data: Buffer): number {
  let total = 0;
  for (const mark of textMarks) {
    let at = data.indexOf(mark);
    while (at >= 0) {
      const end = endOfString(data, at + mark.length);
      total += end - at - mark.length;
      at = data.indexOf(mark, end);
    }
  }
  return total;
}

function endOfString(data: Buffer, from: number): number {
  for (let at = from; at < data.length; at += 1) {
    if (data[at] === backslash) at += 1;
    else if (data[at] === quote) return at;
  }
  return data.length;
}
