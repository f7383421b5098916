import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";

/** What every hop of the bench is started with. */
export interface BenchPlace {
  readonly dataDir: string;
  readonly watchdog: Watchdog;
  readonly upstreamPort: number;
  readonly log: (line: string) => void;
}
