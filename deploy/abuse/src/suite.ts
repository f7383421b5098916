import type { World } from "./world.ts";

/** What a suite found. */
export interface Outcome {
  /** In a few words: "foreign objects answer as missing ones". */
  readonly what: string;
  /** Things tried, each of which could have been a finding. */
  readonly tried: number;
  /** One sentence each, with what is needed to do it again. */
  readonly findings: readonly string[];
  /** What was measured, where a count does not say it. */
  readonly figures?: string;
}

export interface SuiteOptions {
  /** Everything that is drawn by lot comes from it. */
  readonly seed: number;
  /** Hostile cases a route, or garbled keys in hundreds. */
  readonly cases: number;
  /** Calls of each kind where time is compared. */
  readonly calls: number;
  /** Uses at once of what is good once. */
  readonly parallel: number;
  readonly log: (line: string) => void;
}

export interface Suite {
  readonly name: string;
  readonly description: string;
  /** Takes part in `npm test`: its verdict does not depend on the machine's speed. */
  readonly isDeterministic: boolean;
  run(world: World, options: SuiteOptions): Promise<readonly Outcome[]>;
}

/** Collects what one line of the report counts. */
export class Tally {
  private readonly what: string;
  private tried = 0;
  private readonly findings: string[] = [];

  constructor(what: string) {
    this.what = what;
  }

  /** `finding` is made only when it is needed. */
  check(holds: boolean, finding: () => string): void {
    this.tried += 1;
    if (!holds) this.findings.push(finding());
  }

  outcome(figures?: string): Outcome {
    const { what, tried, findings } = this;
    // A table that became empty must not look like a boundary that holds.
    const all = tried === 0 ? [...findings, "nothing was tried"] : findings;
    return { what, tried, findings: all, ...(figures === undefined ? {} : { figures }) };
  }
}

/** At most `atOnce` at a time, in order. */
export async function each<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
