import type { DemoUpstreamConfig } from "../config.ts";
import type { FlakyCounter } from "../flaky.ts";
import type { Exchange } from "./exchange.ts";

/** What a handler gets. */
export interface Context {
  readonly config: DemoUpstreamConfig;
  readonly exchange: Exchange;
  /** The parsed JSON body; undefined for GET. */
  readonly body: unknown;
  readonly flaky: FlakyCounter;
}

export type Handler = (context: Context) => Promise<void>;
