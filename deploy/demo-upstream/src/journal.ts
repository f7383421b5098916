import { closeSync, fstatSync, openSync, writeSync } from "node:fs";

/**
 * What this upstream delivered, to be compared with what a gateway charged. One entry a request, written when its
 * connection is done with it, so it can lag the client by a moment: readers poll.
 */
export interface JournalEntry {
  /** Counts from 1 in this process, without gaps, in the order the answers ended. */
  readonly seq: number;
  readonly endedAt: string;
  /** The caller's `x-request-id`, or our own when it sent none. */
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  /** As asked for; null when the body was not understood. */
  readonly model: string | null;
  readonly status: number | null;
  readonly stream: boolean;
  /** `finished`: all was handed to the socket. `cut`: we broke it off. `client_gone`: the caller left first. */
  readonly outcome: "finished" | "cut" | "client_gone";
  /** Body bytes the operating system took; an upper bound of what the caller read. */
  readonly bytes: number;
  readonly chunks: number;
  /** UTF-8 bytes of generated text within those bytes. */
  readonly outputBytes: number;
  /** The usage object that went out, in the dialect's shape; null when none did. */
  readonly reportedUsage: Readonly<Record<string, unknown>> | null;
  /** What the whole answer amounts to by usage.ts, whatever was reported and delivered; null when nothing was generated. */
  readonly trueUsage: Readonly<Record<string, number>> | null;
  readonly durationMs: number;
}

export interface JournalPage {
  readonly entries: readonly JournalEntry[];
  /** Give this as `since` for what follows. */
  readonly next: number;
  /** Lowest `seq` still in memory; a `since` below `oldest - 1` has missed entries. 0 = the journal is empty. */
  readonly oldest: number;
  /** True when the file reached its bound and misses entries. */
  readonly fileTruncated: boolean;
}

export interface JournalOptions {
  readonly entriesMax: number;
  readonly file: string | undefined;
  readonly fileBytesMax: number;
}

/** Bounded in memory; the file, when asked for, is written before `record` returns, so that a kill loses no entry. */
export class Journal {
  private readonly options: JournalOptions;
  private readonly entries: JournalEntry[] = [];
  private readonly descriptor: number | undefined;
  private seq = 0;
  private fileBytes = 0;
  private fileTruncated = false;

  constructor(options: JournalOptions) {
    this.options = options;
    if (options.file === undefined) return;
    this.descriptor = openSync(options.file, "a", 0o600);
    this.fileBytes = fstatSync(this.descriptor).size;
  }

  record(entry: Omit<JournalEntry, "seq">): JournalEntry {
    this.seq += 1;
    const numbered = { seq: this.seq, ...entry };
    this.entries.push(numbered);
    // Cut in blocks: shifting one entry off a long array for each request would cost more than the request.
    if (this.entries.length >= this.options.entriesMax * 2) {
      this.entries.splice(0, this.entries.length - this.options.entriesMax);
    }
    this.append(numbered);
    return numbered;
  }

  /** Entries with `seq` above `since`, oldest first, at most `limit`. */
  page(since: number, limit: number): JournalPage {
    const kept = this.entries.slice(-this.options.entriesMax);
    const entries = kept.filter((entry) => entry.seq > since).slice(0, limit);
    return {
      entries,
      next: entries.at(-1)?.seq ?? Math.min(since, this.seq),
      oldest: kept[0]?.seq ?? 0,
      fileTruncated: this.fileTruncated,
    };
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
  }

  private append(entry: JournalEntry): void {
    if (this.descriptor === undefined || this.fileTruncated) return;
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    if (this.fileBytes + line.length > this.options.fileBytesMax) {
      this.fileTruncated = true;
      return;
    }
    writeSync(this.descriptor, line);
    this.fileBytes += line.length;
  }
}
