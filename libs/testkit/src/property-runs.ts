import { askedPropertyRuns } from "./config.ts";

/** A night of property tests is asked for by FC_NUM_RUNS=10000 (SEC-141); more than this only heats the room. */
const runsMax = 1_000_000;

/**
 * How often a property is tried: `usual`, unless FC_NUM_RUNS asks for another number. To be passed as `numRuns`.
 * Throws when the variable is set to anything else than a whole number from 1 to a million.
 */
export function propertyRuns(usual: number, asked: string | undefined = askedPropertyRuns()): number {
  if (asked === undefined) return usual;
  if (!/^[1-9]\d{0,6}$/.test(asked) || Number.parseInt(asked, 10) > runsMax) {
    throw new Error(`FC_NUM_RUNS must be a whole number from 1 to ${String(runsMax)}, not "${asked}"`);
  }
  return Number.parseInt(asked, 10);
}
