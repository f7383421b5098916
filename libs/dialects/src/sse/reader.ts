import type { WireEvent } from "../model/events.ts";

/**
 * Incremental reader of a server-sent event stream (WHATWG HTML §9.2.6), right at any split of its bytes.
 *
 * Glossary
 *   line   text up to CR, LF or CRLF
 *   event  the `data` lines up to an empty line, joined by LF; comments, `id` and `retry` are dropped, so that nothing a
 *          provider writes can become a field of ours (SEC-93)
 *
 * It keeps one unfinished event at most.
 */

/** Largest unfinished event or line, in UTF-16 units (SEC-93: 1 MB). */
export const eventLengthMax = 1_048_576;

export class EventTooLargeError extends Error {
  constructor() {
    super(`an event of the stream is longer than ${String(eventLengthMax)} characters`);
    this.name = "EventTooLargeError";
  }
}

export interface SseReader {
  /** Feeds bytes, returns the events that they complete. Throws {@link EventTooLargeError}; the reader is of no use afterwards. */
  readonly push: (bytes: Uint8Array) => WireEvent[];
}

export function createSseReader(): SseReader {
  // Not fatal: a provider's broken character becomes U+FFFD, and fails, if anywhere, in the JSON of its own event.
  // The decoder also takes the byte order mark off that a stream may begin with.
  const decoder = new TextDecoder("utf-8");
  const assembly = createAssembly();
  let line = "";
  let afterReturn = false;

  const push = (bytes: Uint8Array): WireEvent[] => {
    const decoded = decoder.decode(bytes, { stream: true });
    if (decoded === "") return [];
    const text = afterReturn && decoded.startsWith("\n") ? decoded.slice(1) : decoded;
    afterReturn = decoded.endsWith("\r");
    const events: WireEvent[] = [];
    let start = 0;
    for (const match of text.matchAll(/\r\n|\r|\n/g)) {
      const whole = line + text.slice(start, match.index);
      line = "";
      start = match.index + match[0].length;
      const event = assembly.line(whole);
      if (event !== undefined) events.push(event);
    }
    line += text.slice(start);
    if (line.length + assembly.length() > eventLengthMax) throw new EventTooLargeError();
    return events;
  };
  return { push };
}

interface Assembly {
  /** Takes a line without its end; returns the event that an empty line completes. */
  readonly line: (line: string) => WireEvent | undefined;
  readonly length: () => number;
}

function createAssembly(): Assembly {
  let event = "";
  let data: string[] = [];
  let length = 0;

  const finish = (): WireEvent | undefined => {
    const whole = data.length === 0 ? undefined : { event, data: data.join("\n") };
    event = "";
    data = [];
    length = 0;
    return whole;
  };

  const take = (line: string): WireEvent | undefined => {
    if (line === "") return finish();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") {
      data.push(value);
      length += value.length + 1;
    } else if (name === "event") event = value;
    if (length + event.length > eventLengthMax) throw new EventTooLargeError();
    return undefined;
  };
  return { line: take, length: () => length };
}
