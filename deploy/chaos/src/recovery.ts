import type { Observation } from "./client.ts";
import type { World } from "./world.ts";

/**
 * How long it takes from a kill to the first success again. For a gateway that is a whole answer through that gateway; for
 * billing, NATS and Postgres it is every partition that was busy before the kill being committed again; for Redis and
 * key-registry a whole answer through any gateway. A kill during whose recovery something else was disturbed is not timed.
 */

export interface KillRecord {
  readonly kind: string;
  readonly target: string;
  readonly atMs: number;
  /** Seconds; undefined while it lasts, or when it never came. */
  recoveredS: number | undefined;
  /** Something else was disturbed meanwhile, so the time says nothing about this kill. */
  overlapped: boolean;
}

interface Pending {
  readonly record: KillRecord;
  /** Partitions that must be committed again; undefined = a whole answer counts. */
  readonly partitions: Set<number> | undefined;
  /** Only through this gateway; undefined = any. */
  readonly gateway: string | undefined;
}

const pollMs = 100;
/** A partition that was committed within this time before the kill counts as busy. */
const busyMs = 700;

export class RecoveryClock {
  readonly records: KillRecord[] = [];
  private readonly world: Pick<World, "admin">;
  private readonly pending = new Set<Pending>();
  private readonly committedAtMs = new Map<number, number>();
  private readonly timer: NodeJS.Timeout;
  private polling = false;

  constructor(world: Pick<World, "admin">) {
    this.world = world;
    this.timer = setInterval(() => void this.poll(), pollMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Call right at the kill. `alone` says that nothing else is disturbed. */
  killed(kind: string, target: string, alone: boolean): void {
    const atMs = Date.now();
    const record: KillRecord = { kind, target, atMs, recoveredS: undefined, overlapped: !alone };
    this.records.push(record);
    const byLedger = ["billing", "nats", "postgres"].includes(kind);
    const busy = [...this.committedAtMs].filter(([, committedMs]) => atMs - committedMs < busyMs);
    this.pending.add({
      record,
      partitions: byLedger ? new Set(busy.map(([partition]) => partition)) : undefined,
      gateway: kind === "gateway" ? target : undefined,
    });
  }

  /** Something else begins to be disturbed. */
  disturbed(): void {
    for (const { record } of this.pending) record.overlapped = true;
  }

  observe(observation: Observation): void {
    if (!observation.whole) return;
    for (const pending of this.pending) {
      const { record, partitions, gateway } = pending;
      if (partitions !== undefined || observation.startedAtMs < record.atMs) continue;
      if (gateway === undefined || gateway === observation.gateway) this.done(pending, observation.endedAtMs);
    }
  }

  private done(pending: Pending, atMs: number): void {
    pending.record.recoveredS = (atMs - pending.record.atMs) / 1_000;
    this.pending.delete(pending);
  }

  private async poll(): Promise<void> {
    if (this.polling) return;
    this.polling = true;
    try {
      const { rows } = await this.world.admin.query<{ partition: number; ms: string }>(
        "select partition, (extract(epoch from max(updated_at)) * 1000)::bigint as ms from gateway_cursor group by partition",
      );
      for (const { partition, ms } of rows) this.committed(partition, Number(ms));
    } catch {
      // The database is one of those that are killed.
    } finally {
      this.polling = false;
    }
  }

  private committed(partition: number, atMs: number): void {
    if ((this.committedAtMs.get(partition) ?? 0) >= atMs) return;
    this.committedAtMs.set(partition, atMs);
    for (const pending of this.pending) {
      if (pending.partitions === undefined || atMs <= pending.record.atMs) continue;
      pending.partitions.delete(partition);
      if (pending.partitions.size === 0) this.done(pending, atMs);
    }
  }
}
