import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, statSync, unlinkSync } from "node:fs";
import { decodeRecords } from "./record-codec.ts";
import { recoverEpoch, type RecoveredEpoch } from "./recovery.ts";
import { segmentNamePattern } from "./spool.ts";

/** An epoch found on the disk, and how to forget it once billing has confirmed all of it. */
export interface LeftoverEpoch extends RecoveredEpoch {
  /** Bytes that are no records, where a crash does not explain them; 0 when all is well. */
  readonly damagedBytes: number;
  /** Deletes the files; damaged ones are kept for a person to look at, under another name. */
  readonly forget: () => void;
}

/** Reads every epoch in the directory, oldest first. A torn tail of the last segment is cut; anything else that does not check is damage. */
export function readLeftovers(directory: string): LeftoverEpoch[] {
  const byEpoch = new Map<string, string[]>();
  for (const name of readdirSync(directory).sort()) {
    const epoch = segmentNamePattern.exec(name)?.[1];
    if (epoch !== undefined) byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), `${directory}/${name}`]);
  }
  return [...byEpoch.values()].flatMap((paths) => readEpoch(paths) ?? []);
}

/** Undefined when not even the epoch's number can be read: the files stay where they are. */
function readEpoch(paths: readonly string[]): LeftoverEpoch | undefined {
  for (const path of paths) syncFile(path);
  const damaged = new Map<string, number>();
  const entries = paths.flatMap((path, index) => {
    const file = readFileSync(path);
    const decoded = decodeRecords(file);
    const tail = index === paths.length - 1 ? 0 : file.length - decoded.wholeBytes;
    if (decoded.damagedBytes + tail > 0) damaged.set(path, decoded.damagedBytes + tail);
    return decoded.entries;
  });
  // The last sign of life; the time of this reading would be another one at the next.
  const endedAt = new Date(Math.max(...paths.map((path) => Math.round(statSync(path).mtimeMs))));
  const recovered = recoverEpoch(entries, endedAt);
  return (
    recovered && {
      ...recovered,
      damagedBytes: [...damaged.values()].reduce((sum, bytes) => sum + bytes, 0),
      forget: () => {
        for (const path of paths) {
          if (damaged.has(path)) renameSync(path, `${path}.damaged`);
          else unlinkSync(path);
        }
      },
    }
  );
}

/** What a killed process wrote last may be in the page cache alone: on the disk before anything is made of it. */
function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
