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
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;

/** Largest unfinished event that is kept, in bytes, where nothing else is said. */
export const eventBytesMax = 1_048_576;

export class EventTooLarge extends Error {}

export interface SseEvent {
  /** The value of the last `event` field, or "" when there was none. */
  readonly name: string;
  /** The data lines, joined by LF, without the field name. */
  readonly data: Buffer;
}

export class SseScanner {
  private readonly bytesMax: number;
  /** Of the unfinished line; joined once, when its end has come, because a picture is one line of some megabytes. */
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private skipLineFeed = false;
  private dataLines: Buffer[] = [];
  private dataBytes = 0;
  private eventName = "";

  constructor(bytesMax = eventBytesMax) {
    this.bytesMax = bytesMax;
  }

  /** Feeds bytes, returns the events they complete. Throws EventTooLarge when an event outgrows the bound. */
  push(chunk: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.skipLineFeed && bytes.length > 0) {
      if (bytes[0] === lineFeed) bytes = bytes.subarray(1);
      this.skipLineFeed = false;
    }
    let start = 0;
    // Looked for once: nearly no server writes one.
    let carriage = bytes.indexOf(carriageReturn);
    for (;;) {
      if (carriage >= 0 && carriage < start) carriage = bytes.indexOf(carriageReturn, start);
      const feed = bytes.indexOf(lineFeed, start);
      const end = carriage >= 0 && (feed < 0 || carriage < feed) ? carriage : feed;
      if (end < 0) break;
      this.line(this.joined(bytes.subarray(start, end)), events);
      start = end + 1;
      if (bytes[end] === carriageReturn) {
        if (start === bytes.length) this.skipLineFeed = true;
        else if (bytes[start] === lineFeed) start += 1;
      }
    }
    // A copy, because the chunk's memory belongs to the socket's pool and would be kept alive by a slice.
    if (start < bytes.length) {
      this.pending.push(Buffer.from(bytes.subarray(start)));
      this.pendingBytes += bytes.length - start;
    }
    if (this.pendingBytes + this.dataBytes > this.bytesMax) throw new EventTooLarge("event exceeds its bound");
    return events;
  }

  private joined(rest: Buffer): Buffer {
    if (this.pending.length === 0) return rest;
    const line = Buffer.concat([...this.pending, rest]);
    this.pending = [];
    this.pendingBytes = 0;
    return line;
  }

  /** True when bytes of an event have arrived that no empty line has completed. */
  get unfinished(): boolean {
    return this.pendingBytes > 0 || this.dataLines.length > 0;
  }

  private line(line: Buffer, events: SseEvent[]): void {
    if (line.length === 0) {
      if (this.dataLines.length > 0) {
        const [first] = this.dataLines;
        const data = this.dataLines.length === 1 && first ? first : joinLines(this.dataLines);
        events.push({ name: this.eventName, data });
      }
      this.dataLines = [];
      this.dataBytes = 0;
      this.eventName = "";
      return;
    }
    if (isData(line)) {
      this.addData(line, 4);
      return;
    }
    const separator = line.indexOf(colon);
    if (separator === 0) return;
    const field = separator < 0 ? line.toString("latin1") : line.toString("latin1", 0, separator);
    if (field === "data") this.addData(line, separator);
    else if (field === "event") this.eventName = separator < 0 ? "" : line.toString("utf8", valueAt(line, separator));
  }

  private addData(line: Buffer, separator: number): void {
    const from = separator < 0 ? line.length : valueAt(line, separator);
    this.dataLines.push(line.subarray(from));
    this.dataBytes += line.length - from;
  }
}

/** One space behind the colon is not part of the value. */
function valueAt(line: Buffer, separator: number): number {
  return separator + (line[separator + 1] === space ? 2 : 1);
}

/** `data:`, what nearly every line begins with. */
function isData(line: Buffer): boolean {
  return line[0] === 0x64 && line[1] === 0x61 && line[2] === 0x74 && line[3] === 0x61 && line[4] === colon;
}

function joinLines(lines: readonly Buffer[]): Buffer {
  const separator = Buffer.from("\n");
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [separator, line])));
}
