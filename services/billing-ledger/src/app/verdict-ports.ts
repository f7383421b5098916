/** `applied`: done, now or before. `refused`: it will never be done. `waiting`: it is tried again by the bus. */
export type CommandVerdict = "applied" | "refused" | "waiting";

export interface VerdictStore {
  /** A later verdict takes the place of an earlier one, but nothing takes the place of `applied`. */
  note(eventId: string, verdict: CommandVerdict): Promise<void>;
  /** Those that there are. A `waiting` that was not renewed for two minutes counts as none: its message may be lost. */
  of(eventIds: readonly string[]): Promise<ReadonlyMap<string, CommandVerdict>>;
  /** Removes what is older than 90 days, at most 10,000 at once. Answers how many. */
  prune(): Promise<number>;
}
