/** What the generator is asked for, and what it answers. */

export interface LoadSpec {
  /** Workers of what is tested; connections are spread over them evenly. */
  readonly urls: readonly string[];
  /** API keys, spread over the connections. */
  readonly keys: readonly string[];
  /** Further header lines. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly connections: number;
  /** Absent: each connection asks again as soon as it has its answer. */
  readonly perSecond?: number;
  readonly warmUpMs: number;
  readonly seconds: number;
  /** Readers take the beginning of an answer and then nothing more. */
  readonly stall: boolean;
  /** At the end running answers are left instead of awaited. */
  readonly cut: boolean;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

export interface WindowResult {
  readonly windowMs: number;
  /** Whole answers that ended within the window. */
  readonly completed: number;
  /** Milliseconds, of requests that began and ended within it. */
  readonly latency: Quantiles;
  readonly firstByte: Quantiles;
  /** Whole answers from the start to the end, warm-up included. */
  readonly whole: number;
  /** Others, by status; 0 = the connection broke. */
  readonly failed: Readonly<Record<string, number>>;
  /** Answers that were left in the middle. */
  readonly cut: number;
  /** Most answers that ran at one moment. */
  readonly streamingMax: number;
  /** Of the generator. */
  readonly cpuSeconds: number;
}
