import { readdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { decodeRecords, type SpoolEntry } from "./record-codec.ts";
import { recoverEpoch, type RecoveredEpoch } from "./recovery.ts";
import { segmentNamePattern } from "./spool.ts";

/** An epoch found on the disk, and how to forget it once billing has confirmed all of it. */
export interface LeftoverEpoch extends RecoveredEpoch {
  readonly forget: () => void;
}

/** Reads every epoch in the directory, oldest first. A torn tail is cut; a segment without its first record is skipped and kept. */
export function readLeftovers(directory: string): LeftoverEpoch[] {
  const byEpoch = new Map<string, string[]>();
  for (const name of readdirSync(directory).sort()) {
    const epoch = segmentNamePattern.exec(name)?.[1];
    if (epoch !== undefined) byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), `${directory}/${name}`]);
  }
  const found: LeftoverEpoch[] = [];
  for (const paths of byEpoch.values()) {
    const entries = paths.flatMap((path): readonly SpoolEntry[] => decodeRecords(readFileSync(path)).entries);
    // The last sign of life; the time of this reading would be another one at the next.
    const endedAt = new Date(Math.max(...paths.map((path) => Math.round(statSync(path).mtimeMs))));
    const recovered = recoverEpoch(entries, endedAt);
    if (!recovered) continue;
    found.push({ ...recovered, forget: () => paths.forEach((path) => unlinkSync(path)) });
  }
  return found;
}
