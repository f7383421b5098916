import type { DemoUpstreamConfig } from "./config.ts";
import type { Fault } from "./faults.ts";

/** How long an answer takes. All zero: as fast as the socket takes it. */
export interface Pace {
  readonly firstByteMs: number;
  /** Fixed wait before each chunk of generated text. */
  readonly msPerChunk: number;
  readonly msPerToken: number;
}

/** No plain answer keeps its caller waiting longer for being generated. */
const generatingMsMax = 30_000;
const paceMsMax = 3_600_000;

/**
 * `demo-slow` first, then `?pace=<ms>` (the wait before the first byte and between chunks; 0 = none), then the
 * configuration. A value that is not a whole number of milliseconds is ignored.
 */
export function paceOf(config: DemoUpstreamConfig, query: URLSearchParams, fault: Fault | undefined): Pace {
  if (fault?.kind === "slow") {
    return { firstByteMs: fault.firstByteMs, msPerChunk: config.slowChunkMs, msPerToken: 0 };
  }
  const asked = query.get("pace");
  if (asked !== null && /^\d{1,7}$/.test(asked)) {
    const ms = Math.min(Number(asked), paceMsMax);
    return { firstByteMs: ms, msPerChunk: ms, msPerToken: 0 };
  }
  const msPerToken = config.tokensPerSecond === 0 ? 0 : 1_000 / config.tokensPerSecond;
  return { firstByteMs: config.firstByteMs, msPerChunk: 0, msPerToken };
}

/** How long a plain answer of this many generated tokens takes. */
export function plainMs(pace: Pace, tokens: number): number {
  return pace.firstByteMs + Math.min(generatingMsMax, pace.msPerToken * tokens);
}
