import { setTimeout as delay } from "node:timers/promises";
import type { ReceivedUsage } from "./apply-usage.ts";

/**
 * Group commit: a transaction has a price that does not depend on its size (docs/adr/0013), so what several partitions have
 * read is booked together. While one transaction runs, the next one gathers.
 */
export interface BatchCombiner {
  /**
   * Resolves when the part is committed. When the whole fails, each of its parts is tried alone, so that one partition's
   * trouble (another writer, say) does not become that of the others; then rejects with the error of this part.
   */
  add(part: ReceivedUsage): Promise<void>;
}

export interface CombinerDeps {
  /** Safe to repeat with what was committed before. */
  readonly apply: (whole: ReceivedUsage) => Promise<void>;
  /** How long a batch waits for others after its first part. */
  readonly lingerMs: number;
  /** A batch that has so many records waits no longer. */
  readonly recordsMax: number;
}

interface Waiting {
  readonly part: ReceivedUsage;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

class GroupCommit implements BatchCombiner {
  private readonly deps: CombinerDeps;
  /** At most one part a partition, because its reader waits for it. */
  private waiting: Waiting[] = [];
  private records = 0;
  private waitingSinceMs = 0;
  private running = false;
  private full = new AbortController();

  constructor(deps: CombinerDeps) {
    this.deps = deps;
  }

  add(part: ReceivedUsage): Promise<void> {
    return new Promise((done, failed) => {
      if (this.waiting.length === 0) this.waitingSinceMs = performance.now();
      this.waiting.push({ part, done, failed });
      this.records += part.records.length;
      if (this.records >= this.deps.recordsMax) this.full.abort();
      if (!this.running) void this.run();
    });
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting.length > 0) {
      // What came while the last transaction ran has waited already.
      const leftMs = this.waitingSinceMs + this.deps.lingerMs - performance.now();
      if (leftMs > 0) await delay(leftMs, undefined, { signal: this.full.signal }).catch(() => undefined);
      const group = this.waiting;
      this.waiting = [];
      this.records = 0;
      this.full = new AbortController();
      await this.commit(group);
    }
    this.running = false;
  }

  private async commit(group: readonly Waiting[]): Promise<void> {
    try {
      await this.deps.apply(combined(group.map(({ part }) => part)));
      for (const { done } of group) done();
    } catch (error) {
      if (group.length === 1) group[0]?.failed(error);
      else for (const one of group) await this.commit([one]);
    }
  }
}

function combined(parts: readonly ReceivedUsage[]): ReceivedUsage {
  return {
    records: parts.flatMap((part) => part.records),
    aside: parts.flatMap((part) => part.aside),
    firstStreamSeq: Math.min(...parts.map((part) => part.firstStreamSeq)),
    lastStreamSeq: Math.max(...parts.map((part) => part.lastStreamSeq)),
    positions: parts.flatMap((part) => part.positions),
  };
}

export function combineBatches(deps: CombinerDeps): BatchCombiner {
  return new GroupCommit(deps);
}
