import { setTimeout as delay } from "node:timers/promises";
import type { Bus, ReadMessage } from "@codex/bus";
import { subjectOf, usageEnvelope, usagePartitions } from "@codex/contracts";
import { batchRecordsMax, type ReceivedUsage } from "../app/apply-usage.ts";
import { combineBatches, type BatchCombiner } from "../app/combine-batches.ts";
import type { IngestMark, UsageWriter, WriterSession } from "../app/ports.ts";
import { partitionShare } from "../domain/partition-share.ts";
import { fromBusUsage } from "./usage-envelope.ts";

/**
 * Glossary
 *   agent   one writer session and the readers of the partitions it owns
 *   share   what is an agent's when all agents of all replicas own equally many
 *   mark    a booked message that a later reader can tell from another one at its number
 *
 * Each agent claims free partitions up to its share and gives back what is above it, so a new replica gets work within a
 * round and the partitions of a dead one are taken over within a round. A new owner reads on behind what is committed in
 * Postgres, or behind the newest of its marks that stands when the stream lost its end, so nothing waits for an acknowledgement
 * that will not come. Nothing here is needed for correctness: the ledger refuses the batches of an owner that was replaced, and
 * dedupes by primary key.
 */

export interface UsageAgentDeps {
  readonly bus: Pick<Bus, "readStream">;
  readonly openSession: () => Promise<WriterSession>;
  readonly apply: (writer: UsageWriter, received: ReceivedUsage) => Promise<void>;
  /** How long a transaction waits for more usage after the first. */
  readonly lingerMs: number;
  /** Between two rounds of claiming. */
  readonly roundMs: number;
  readonly onFailure: (error: unknown) => void;
}

export interface UsageAgent {
  readonly owned: () => readonly number[];
  /** Ends the batches under way, frees the partitions. Idempotent. */
  stop(): Promise<void>;
}

/** Envelopes of one partition in one batch, up to 200 records each. */
const batchMessagesMax = 32;
const fetchExpiresMs = 2_000;

/** A writer's connection, and what gathers for it. */
interface Desk {
  readonly session: WriterSession;
  readonly combiner: BatchCombiner;
}

class PartitionAgent implements UsageAgent {
  private readonly deps: UsageAgentDeps;
  private readonly stopping = new AbortController();
  private readonly readers = new Map<number, { stop(): Promise<void> }>();
  /** What was booked last of each partition, until it is kept. */
  private readonly booked = new Map<number, IngestMark>();
  private readonly running: Promise<void>;
  private desk: Desk | undefined;
  private nap = new AbortController();

  constructor(deps: UsageAgentDeps) {
    this.deps = deps;
    this.running = this.run();
  }

  owned = (): readonly number[] => [...this.readers.keys()];

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.nap = new AbortController();
      try {
        this.desk ??= await this.open();
        await this.round(this.desk);
      } catch (error) {
        this.deps.onFailure(error);
        await this.drop();
      }
      const signal = AbortSignal.any([this.nap.signal, this.stopping.signal]);
      await delay(this.deps.roundMs, undefined, { signal }).catch(() => undefined);
    }
    await this.drop();
  }

  private async open(): Promise<Desk> {
    const session = await this.deps.openSession();
    const combiner = combineBatches({
      apply: (whole) => this.deps.apply(session, whole),
      lingerMs: this.deps.lingerMs,
      recordsMax: batchRecordsMax,
    });
    return { session, combiner };
  }

  private async round(desk: Desk): Promise<void> {
    const { session } = desk;
    await this.keepMarks(session);
    const share = partitionShare(usagePartitions, await session.sessions());
    await Promise.all(
      this.owned()
        .slice(share)
        .map(async (partition) => {
          await this.stopReader(partition);
          await session.release(partition);
        }),
    );
    // Another starting point for each round: agents that start together should not all knock at the same door.
    const offset = Math.floor(Math.random() * usagePartitions);
    for (let step = 0; step < usagePartitions && this.readers.size < share; step += 1) {
      if (this.stopping.signal.aborted) return;
      const partition = (offset + step) % usagePartitions;
      if (!this.readers.has(partition) && (await session.claim(partition))) {
        this.readers.set(partition, this.startReader(desk, partition));
      }
    }
  }

  private startReader({ session, combiner }: Desk, partition: number): { stop(): Promise<void> } {
    let term = 0n;
    let created = "";
    return this.deps.bus.readStream({
      stream: usageEnvelope.stream,
      name: `billing-usage-${String(partition)}`,
      subject: subjectOf(usageEnvelope.pattern, { partition: String(partition) }),
      batchMax: batchMessagesMax,
      expiresMs: fetchExpiresMs,
      // The transaction waits, for all partitions together.
      lingerMs: 0,
      recall: (of) => this.watched(() => session.marks(partition, of)),
      position: (stream) =>
        this.watched(async () => {
          const begun = await session.beginReading(partition, stream);
          ({ term } = begun);
          ({ created } = stream);
          return begun.floor;
        }),
      onBatch: (messages) =>
        this.watched(async () => {
          await combiner.add(received(messages, partition, term));
          const last = messages.at(-1);
          if (last) this.booked.set(partition, { partition, created, seq: last.seq, storedAtMs: last.storedAtMs });
        }),
    });
  }

  /** Once a round is enough: what was booked since is read again after a loss, and no more. */
  private async keepMarks(session: WriterSession): Promise<void> {
    const marks = [...this.booked.values()];
    this.booked.clear();
    await session.keepMarks(marks);
  }

  /** Perhaps the connection died: the next round finds out, and the sooner it runs the sooner others take over. */
  private async watched<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.nap.abort();
      throw error;
    }
  }

  private async stopReader(partition: number): Promise<void> {
    const reader = this.readers.get(partition);
    this.readers.delete(partition);
    await reader?.stop();
  }

  /** Batches end before the session closes: its locks must outlive its writes. */
  private async drop(): Promise<void> {
    await Promise.all(this.owned().map((partition) => this.stopReader(partition)));
    const { desk } = this;
    this.desk = undefined;
    await desk?.session.close();
  }
}

function received(messages: readonly ReadMessage[], partition: number, term: bigint): ReceivedUsage {
  const read = messages.map((message) => fromBusUsage(message, partition));
  const lastStreamSeq = messages.at(-1)?.seq ?? 0;
  return {
    records: read.flatMap((part) => part.records),
    aside: read.flatMap((part) => part.aside),
    firstStreamSeq: messages[0]?.seq ?? 0,
    lastStreamSeq,
    positions: [{ partition, term, floor: lastStreamSeq }],
  };
}

/** Begins to claim partitions; never fails, goes on trying. */
export function startUsageAgent(deps: UsageAgentDeps): UsageAgent {
  return new PartitionAgent(deps);
}
