import { closeSync, existsSync, fsyncSync, openSync, statSync, unlinkSync } from "node:fs";
import type { Disk } from "./spool-file.ts";

/**
 * Space kept for the day when the disk is full: a file that is given up so that running requests can still write their end.
 * Real blocks, not a hole, which is why it is written and not only made long.
 */
export class Reserve {
  private readonly path: string;
  private readonly bytes: number;
  private readonly disk: Disk;

  /** `bytes` 0: keeps nothing. */
  constructor(directory: string, bytes: number, disk: Disk) {
    this.path = `${directory}/reserve`;
    this.bytes = bytes;
    this.disk = disk;
  }

  /** Takes the space, unless it is taken. Throws the file system's error, and then has taken nothing. */
  take(): void {
    if (this.bytes === 0) return;
    if (existsSync(this.path) && statSync(this.path).size >= this.bytes) return;
    const descriptor = openSync(this.path, "w", 0o600);
    try {
      const block = Buffer.alloc(Math.min(this.bytes, 65_536), 0xff);
      for (let written = 0; written < this.bytes;) {
        written += this.disk.write(descriptor, block, 0, Math.min(block.length, this.bytes - written));
      }
      fsyncSync(descriptor);
    } catch (error) {
      this.release();
      throw error;
    } finally {
      closeSync(descriptor);
    }
  }

  /** Gives the space up. Never throws. */
  release(): void {
    try {
      unlinkSync(this.path);
    } catch {
      // It is gone already.
    }
  }
}
