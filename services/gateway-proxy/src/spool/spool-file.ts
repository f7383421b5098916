import { closeSync, fdatasync, openSync, writeSync } from "node:fs";
import { encodeRecord, type SpoolEntry } from "./record-codec.ts";

/**
 * One append-only file of one epoch. A record is in the page cache when `append` returns, which survives kill -9 of the
 * process; `fdatasync` runs in groups of at most {@link syncEveryMs}, so a power cut loses at most the last group.
 */

const syncEveryMs = 10;

export class SpoolFile {
  readonly path: string;
  private readonly descriptor: number;
  private bytesWritten = 0;
  private timer: NodeJS.Timeout | undefined;
  private syncing: Promise<void> | undefined;
  private readonly onSyncError: (error: Error) => void;

  constructor(path: string, onSyncError: (error: Error) => void) {
    this.path = path;
    this.descriptor = openSync(path, "ax", 0o600);
    this.onSyncError = onSyncError;
  }

  /** Throws the file system's error (ENOSPC …) and then has written nothing that would be read back. */
  append(entry: SpoolEntry): void {
    const record = encodeRecord(entry);
    let written = 0;
    while (written < record.length) written += writeSync(this.descriptor, record, written);
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
    this.syncing ??= new Promise((resolve) => {
      fdatasync(this.descriptor, (error) => {
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
