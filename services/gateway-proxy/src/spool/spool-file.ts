import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { encodeRecord, type SpoolEntry } from "./record-codec.ts";

/**
 * One append-only file of one epoch. A record is in the page cache when `append` returns, which survives kill -9 of the
 * process; `fdatasync` runs in groups of at most {@link syncEveryMs}, so a power cut loses at most the last group.
 */

const syncEveryMs = 10;

/** What the file system does for a spool; the real one but in tests. */
export interface Disk {
  /** Writes from `offset` on; answers how many bytes. Throws ENOSPC and the like. */
  write(descriptor: number, bytes: Buffer, offset: number, length: number): number;
  /** Brings what was written to a descriptor onto the disk. */
  flush(descriptor: number, done: (error: Error | null) => void): void;
}

export const realDisk: Disk = { write: writeSync, flush: fdatasync };

/** Told of a failed sync, with every record that may not be on the disk; the kernel may have dropped it, so it must be written anew. */
export type OnSyncError = (error: Error, unsynced: readonly Buffer[]) => void;

export class SpoolFile {
  readonly path: string;
  private readonly descriptor: number;
  private bytesWritten = 0;
  private timer: NodeJS.Timeout | undefined;
  private syncing: Promise<void> | undefined;
  private syncingNext: Promise<void> | undefined;
  /** Written after the last sync began. */
  private unsynced: Buffer[] = [];
  /** To be told when the sync of {@link unsynced} is over. */
  private waiting: (() => void)[] = [];
  private readonly onSyncError: OnSyncError;
  private readonly disk: Disk;

  /** Creates the file, and sees to it that its name survives a power cut. Throws the file system's error. */
  constructor(path: string, onSyncError: OnSyncError, disk: Disk = realDisk) {
    this.path = path;
    this.disk = disk;
    this.descriptor = openSync(path, "ax", 0o600);
    this.onSyncError = onSyncError;
    syncDirectory(dirname(path));
  }

  append(entry: SpoolEntry): void {
    this.write(encodeRecord(entry));
  }

  /** Throws the file system's error (ENOSPC …) and then has written nothing that would be read back. */
  write(record: Buffer): void {
    let written = 0;
    try {
      while (written < record.length) {
        written += this.disk.write(this.descriptor, record, written, record.length - written);
      }
    } catch (error) {
      // Half a record would be taken for damage by the next reader.
      if (written > 0) ftruncateSync(this.descriptor, this.bytesWritten);
      throw error;
    }
    this.bytesWritten += record.length;
    this.unsynced.push(record);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.sync();
    }, syncEveryMs);
  }

  get bytes(): number {
    return this.bytesWritten;
  }

  /** Calls back once what was written so far is on the disk, or its failure was reported; in the order of the calls. */
  afterSync(done: () => void): void {
    this.waiting.push(done);
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
    const group = this.unsynced;
    const told = this.waiting;
    this.unsynced = [];
    this.waiting = [];
    this.syncing = new Promise((resolve) => {
      this.disk.flush(this.descriptor, (error) => {
        this.syncing = undefined;
        if (error) {
          const lost = [...group, ...this.unsynced];
          this.unsynced = [];
          this.onSyncError(error, lost);
        }
        for (const done of told) done();
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

  /** Of a file that was never used: closes and deletes it without a sync. Never throws. */
  discard(): void {
    clearTimeout(this.timer);
    try {
      closeSync(this.descriptor);
      unlinkSync(this.path);
    } catch {
      // What cannot be deleted holds copies of live records only, which do no harm.
    }
  }
}

/** A new or deleted name is on the disk only when its directory is. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
