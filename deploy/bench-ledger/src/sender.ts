import { usageEnvelope, usagePartitions, type SpoolRecord } from "@codex/contracts";
import { envelopePayload } from "@codex/gateway-proxy";
import { setTimeout as delay } from "node:timers/promises";
import { makeRecord, Traffic, type Numbers } from "./accounts.ts";
import type { BenchWorld } from "./world.ts";

/** Envelopes as a gateway sends them: by partition, at most so many records. */
const envelopeRecords = 100;
export const pollMs = 5;
const tickMs = 10;
/** As long as a gateway's spool waits for more of a partition (`USAGE_LINGER_MS` of the gateway). */
const lingerMs = 20;
/** A server that was killed is back long before; then the bench ends with what NATS says. */
const publishTimeoutMs = 60_000;

/** One worker's spool: sends records until the stream has them, and knows when the ledger has committed them. */
export class BenchSender {
  private readonly world: BenchWorld;
  private readonly traffic: Traffic;
  readonly numbers: Numbers;
  private readonly waiting: SpoolRecord[][] = Array.from({ length: usagePartitions }, () => []);
  /** When the first of them was made. */
  private waitingSince: number | undefined;
  private open: { partition: number; last: number; madeAt: number }[] = [];
  /** Milliseconds from making to commit, an envelope each; whoever reads them may empty the list. */
  readonly lags: number[] = [];
  sent = 0;

  constructor(world: BenchWorld, numbers: Numbers) {
    this.world = world;
    this.numbers = numbers;
    this.traffic = new Traffic(world.accounts);
  }

  /** Records that wait for {@link flush}. */
  make(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const account = this.traffic.next();
      this.waiting[account.partition]?.push(
        makeRecord(account, this.numbers.take(account.partition), this.world.priceVersion),
      );
    }
    this.sent += count;
    this.waitingSince ??= performance.now();
  }

  /** Sends what waits; resolves when the stream has it. */
  async flush(): Promise<void> {
    const madeAt = this.waitingSince ?? performance.now();
    this.waitingSince = undefined;
    const sent: Promise<unknown>[] = [];
    for (const [partition, records] of this.waiting.entries()) {
      this.waiting[partition] = [];
      for (let from = 0; from < records.length; from += envelopeRecords) {
        const part = records.slice(from, from + envelopeRecords);
        this.open.push({ partition, last: part.at(-1)?.seq ?? 0, madeAt });
        sent.push(this.publish(partition, part));
      }
    }
    await Promise.all(sent);
  }

  async send(count: number): Promise<void> {
    this.make(count);
    await this.flush();
  }

  /** Again and again under the same id, as the spool does: the stream drops copies. */
  private async publish(partition: number, records: SpoolRecord[]): Promise<void> {
    const { bus, epoch } = this.world;
    const [first, last] = [records[0]?.seq ?? 0, records.at(-1)?.seq ?? 0];
    const until = performance.now() + publishTimeoutMs;
    for (;;) {
      try {
        await bus.publishJson(usageEnvelope, {
          id: `${String(epoch)}-${String(partition)}-${String(first)}-${String(last)}`,
          params: { partition: String(partition) },
          json: envelopePayload({ epoch, partition, first, last, records }),
        });
        return;
      } catch (error) {
        if (performance.now() > until) throw error;
        await delay(50);
      }
    }
  }

  /** Looks what is committed; answers how many envelopes are open. */
  async look(): Promise<number> {
    const { rows } = await this.world.admin.query<{ partition: number; contiguous: string }>(
      "select partition, contiguous from gateway_cursor where epoch = $1",
      [this.world.epoch],
    );
    const marks = new Map(rows.map((row) => [row.partition, Number(row.contiguous)]));
    const now = performance.now();
    this.open = this.open.filter((one) => {
      if ((marks.get(one.partition) ?? 0) < one.last) return true;
      this.lags.push(now - one.madeAt);
      return false;
    });
    return this.open.length;
  }

  /** Resolves when all is committed. A look that fails is repeated: the database is one of those that are killed. */
  async drained(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs;
    for (let cause: unknown; ;) {
      const open = await this.look().catch((error: unknown) => {
        cause = error;
        return undefined;
      });
      if (open === 0) return;
      if (performance.now() > until) throw new Error("the ledger did not come to the end of the backlog", { cause });
      await delay(pollMs);
    }
  }
}

/** Makes records at a steady rate until `seconds` are over, and sends them as a gateway does. */
export async function sendSteadily(sender: BenchSender, perSecond: number, seconds: number): Promise<void> {
  const from = performance.now();
  let sent = 0;
  let flushedAt = from;
  while (performance.now() - from < seconds * 1_000) {
    const due = Math.floor(((performance.now() - from) / 1_000) * perSecond);
    if (due > sent) sender.make(due - sent);
    sent = Math.max(sent, due);
    if (performance.now() - flushedAt >= lingerMs) {
      flushedAt = performance.now();
      await sender.flush();
    }
    await delay(tickMs);
  }
  await sender.flush();
}
