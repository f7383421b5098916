import { closeSync, fdatasync, ftruncateSync, openSync, writeSync } from "node:fs";
import { encodeRecord, type SpoolEntry } from "./record-codec.ts";

/**
 * One append-only file of one epoch. A record is in the page cache when `append` returns, which survives kill -9 of the
 * process; `fdatasync` runs in groups of at most {@link syncEveryMs}, so a power cut loses at most the last group.
 */

const syncEveryMs = 10;

/** Brings what was written to a descriptor onto the disk; `fdatasync` but in tests. */
export type Flush = (descriptor: number, done: (error: Error | null) => void) => void;

export class SpoolFile {
  readonly path: string;
  private readonly descriptor: number;
  private bytesWritten = 0;
  private timer: NodeJS.Timeout | undefined;
  private syncing: Promise<void> | undefined;
  private syncingNext: Promise<void> | undefined;
  private readonly onSyncError: (error: Error) => void;
  private readonly flush: Flush;

  constructor(path: string, onSyncError: (error: Error) => void, flush: Flush = fdatasync) {
    this.path = path;
    this.flush = flush;
    this.descriptor = openSync(path, "ax", 0o600);
    this.onSyncError = onSyncError;
  }

  /** Throws the file system's error (ENOSPC …) and then has written nothing that would be read back. */
  append(entry: SpoolEntry): void {
    const record = encodeRecord(entry);
    let written = 0;
    try {
      while (written < record.length) written += writeSync(this.descriptor, record, written);
    } catch (error) {
      // Half a record would hide everything written after it from the next reader.
      if (written > 0) ftruncateSync(this.descriptor, this.bytesWritten);
      throw error;
    }
    this.bytesWritten += record.length;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.sync();
    }, syncEveryMs);
  }

  get bytes(): number {
    return this.bytesWritten;
  }

  /** Resolves when everything appended so far is on the disk, or the failure was reported. */
  sync(): Promise<void> {
    if (!this.syncing) return this.syncNow();
    // The one under way may have begun before the latest record: another must follow it.
    this.syncingNext ??= this.syncing.then(() => {
      this.syncingNext = undefined;
      return this.syncNow();
    });
    return this.syncingNext;
  }

  private syncNow(): Promise<void> {
    this.syncing = new Promise((resolve) => {
      this.flush(this.descriptor, (error) => {
        this.syncing = undefined;
        if (error) this.onSyncError(error);
        resolve();
      });
    });
    return this.syncing;
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.sync();
    closeSync(this.descriptor);
  }
}
