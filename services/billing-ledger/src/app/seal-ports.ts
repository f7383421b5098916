/** The parts of a day, in the order in which its digest names them. */
export const dayParts = ["commands", "entries", "transfers", "usage"] as const;
export type DayPart = (typeof dayParts)[number];

export interface PartDigest {
  readonly rows: number;
  /** SHA-256 over the part's lines in their order, each with a line feed; hex. */
  readonly digest: string;
}

export type DayContents = Readonly<Record<DayPart, PartDigest>>;

/** Hashes are hex, lower case. */
export interface Seal {
  /** UTC, 2026-11-25. */
  readonly day: string;
  readonly previousHash: string;
  readonly digest: string;
  readonly hash: string;
  readonly contents: DayContents;
  readonly sealedAt: string;
}

export interface SealStore {
  /** The next day that is surely over; undefined when there is none. */
  nextDay(graceMs: number): Promise<string | undefined>;
  /** Reads the day again, whatever its size, in one snapshot and bounded memory. */
  contents(day: string): Promise<DayContents>;
  /** False when another replica has sealed it. */
  put(day: string, digest: string, contents: DayContents): Promise<boolean>;
  /** Oldest first; `from` is a day. */
  all(from?: string): Promise<readonly Seal[]>;
  /** Usage of some day at or after this one was archived, so it can no longer be read here. */
  archivedSince(day: string): Promise<boolean>;
}
