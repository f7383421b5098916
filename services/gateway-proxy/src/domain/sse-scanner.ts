/**
 * Incremental reader of a server-sent event stream (WHATWG HTML §9.2.6), byte by byte correct at any split.
 *
 * Glossary
 *   line   bytes up to CR, LF or CRLF
 *   event  the joined `data` lines up to an empty line; comments, `id` and `retry` are dropped, so that nothing an
 *          upstream writes can become a field of ours (SEC-93)
 *
 * It keeps at most one unfinished event; a stream is never accumulated.
 */

const lineFeed = 0x0a;
const space = 0x20;

/** Largest unfinished event that is kept, in bytes, where nothing else is said. */
export const eventBytesMax = 1_048_576;

export class EventTooLarge extends Error {}

/** One event, as a place in the bytes that were pushed: most are looked at and passed on, and never copied. */
export class SseEvent {
  /** The value of the last `event` field, or "" when there was none. */
  readonly name: string;
  readonly bytes: Buffer;
  /** {@link bytes}, one letter for each: looking into a string is several times as fast. */
  readonly text: string;
  /** The data lines, joined by LF, without the field name. */
  readonly from: number;
  readonly to: number;
  /**
   * Where the whole event stands in {@link bytes}, if it is written as we write it ourselves: `event: <name>` if it has one, one line
   * `data: <data>`, an empty line; every line ends in LF. Else -1.
   */
  readonly wireFrom: number;
  /** Behind the empty line, if it stands there. */
  readonly wireTo: number;

  constructor(name: string, bytes: Buffer, text: string, from: number, to: number, wireFrom: number, wireTo: number) {
    this.name = name;
    this.bytes = bytes;
    this.text = text;
    this.from = from;
    this.to = to;
    this.wireFrom = wireFrom;
    this.wireTo = wireTo;
  }

  /** Made anew at each call. */
  get data(): Buffer {
    return this.bytes.subarray(this.from, this.to);
  }
}

const noBytes = Buffer.alloc(0);

export class SseScanner {
  private readonly bytesMax: number;
  /** Of the unfinished line; joined once, when its end has come, because a picture is one line of some megabytes. */
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private skipLineFeed = false;
  /** The event's first line of data: its place, -1 when there was none yet; `others` has those after it. */
  private firstBytes: Buffer = noBytes;
  private firstText = "";
  private firstFrom = -1;
  private firstTo = 0;
  private others: Buffer[] = [];
  private dataBytes = 0;
  private eventName = "";
  /** Offset of the event's first line in the present chunk; -1: it began in an earlier one, or is not written plainly. */
  private wireFrom = 0;

  constructor(bytesMax = eventBytesMax) {
    this.bytesMax = bytesMax;
  }

  /** Feeds bytes, returns the events they complete. Throws EventTooLarge when an event outgrows the bound. */
  push(chunk: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // Lines are looked for in a string, one letter for each byte: that is several times as fast as in the bytes.
    const text = bytes.toString("latin1");
    let start = 0;
    if (this.skipLineFeed && text.length > 0) {
      if (text.charCodeAt(0) === lineFeed) start = 1;
      this.skipLineFeed = false;
    }
    this.wireFrom = this.unfinished || this.eventName !== "" ? -1 : start;
    // Looked for once: nearly no server writes one.
    let carriage = text.indexOf("\r", start);
    for (;;) {
      if (carriage >= 0 && carriage < start) carriage = text.indexOf("\r", start);
      const feed = text.indexOf("\n", start);
      const isCarriage = carriage >= 0 && (feed < 0 || carriage < feed);
      const end = isCarriage ? carriage : feed;
      if (end < 0) break;
      if (isCarriage) this.wireFrom = -1;
      const isKept = this.pending.length > 0;
      if (isKept) this.keptLine(bytes.subarray(start, end), events);
      else this.line(bytes, text, start, end, events);
      const endsEvent = end === start && !isKept;
      start = end + 1;
      if (isCarriage) {
        if (start === text.length) this.skipLineFeed = true;
        else if (text.charCodeAt(start) === lineFeed) start += 1;
      }
      if (endsEvent) this.wireFrom = start;
    }
    // A copy, because the chunk's memory belongs to the socket's pool and would be kept alive by a slice.
    if (start < bytes.length) {
      this.pending.push(Buffer.from(bytes.subarray(start)));
      this.pendingBytes += bytes.length - start;
    }
    if (this.pendingBytes + this.dataBytes > this.bytesMax) throw new EventTooLarge("event exceeds its bound");
    return events;
  }

  /** Of a line that began in an earlier chunk, its end. */
  private keptLine(rest: Buffer, events: SseEvent[]): void {
    const line = Buffer.concat([...this.pending, rest]);
    this.pending = [];
    this.pendingBytes = 0;
    this.line(line, line.toString("latin1"), 0, line.length, events);
  }

  /** True when bytes of an event have arrived that no empty line has completed. */
  get unfinished(): boolean {
    return this.pendingBytes > 0 || this.firstFrom >= 0;
  }

  private line(bytes: Buffer, text: string, from: number, to: number, events: SseEvent[]): void {
    if (from === to) {
      this.end(to, events);
      return;
    }
    if (text.startsWith("data:", from)) {
      this.addData(bytes, text, from + 4, to);
      return;
    }
    const separator = text.indexOf(":", from);
    const isBare = separator < 0 || separator >= to;
    const field = text.slice(from, isBare ? to : separator);
    if (field === "event" && !isBare) {
      const at = valueAt(text, separator);
      // Plainly written it comes first, and is told from its value by a space.
      if (from !== this.wireFrom || at !== separator + 2) this.wireFrom = -1;
      this.eventName = bytes.toString("utf8", at, to);
      return;
    }
    this.wireFrom = -1;
    if (separator === from) return;
    if (field === "event") this.eventName = "";
    else if (field === "data") this.addData(bytes, text, isBare ? -1 : separator, to);
  }

  private end(to: number, events: SseEvent[]): void {
    if (this.firstFrom >= 0) {
      if (this.dataBytes > this.bytesMax) throw new EventTooLarge("event exceeds its bound");
      events.push(this.others.length === 0 ? this.plain(to) : this.joined());
      this.firstBytes = noBytes;
      this.firstText = "";
      this.firstFrom = -1;
      this.others = [];
      this.dataBytes = 0;
    }
    this.eventName = "";
  }

  private plain(to: number): SseEvent {
    const { eventName, firstBytes, firstText, firstFrom, firstTo, wireFrom } = this;
    return new SseEvent(eventName, firstBytes, firstText, firstFrom, firstTo, wireFrom, to + 1);
  }

  private joined(): SseEvent {
    const lines = [this.firstBytes.subarray(this.firstFrom, this.firstTo), ...this.others];
    const bytes = joinLines(lines);
    return new SseEvent(this.eventName, bytes, bytes.toString("latin1"), 0, bytes.length, -1, 0);
  }

  /** `separator` -1: the field stands alone, and its value is empty. */
  private addData(bytes: Buffer, text: string, separator: number, to: number): void {
    const from = separator < 0 ? to : Math.min(to, valueAt(text, separator));
    if (from !== separator + 2) this.wireFrom = -1;
    this.dataBytes += to - from;
    if (this.firstFrom >= 0) {
      this.others.push(bytes.subarray(from, to));
      return;
    }
    this.firstBytes = bytes;
    this.firstText = text;
    this.firstFrom = from;
    this.firstTo = to;
  }
}

/** One space behind the colon is not part of the value. */
function valueAt(text: string, separator: number): number {
  return separator + (text.charCodeAt(separator + 1) === space ? 2 : 1);
}

function joinLines(lines: readonly Buffer[]): Buffer {
  const separator = Buffer.from("\n");
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [separator, line])));
}
