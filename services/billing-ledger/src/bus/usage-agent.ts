import { setTimeout as delay } from "node:timers/promises";
import type { Bus, BatchMessage } from "@codex/bus";
import { subjectOf, usageEnvelope, usagePartitions } from "@codex/contracts";
import type { ReceivedUsage } from "../app/apply-usage.ts";
import type { UsageWriter, WriterSession } from "../app/ports.ts";
import { partitionShare } from "../domain/partition-share.ts";
import { fromBusUsage } from "./usage-envelope.ts";

/**
 * Glossary
 *   agent   one writer session and the pull consumers of the partitions it owns
 *   share   what is an agent's when all agents of all replicas own equally many
 *
 * Each agent claims free partitions up to its share and gives back what is above it, so a new replica gets work within a
 * round and the partitions of a dead one are taken over within a round. Nothing here is needed for correctness: two owners
 * at once would only do double work, because the ledger dedupes by primary key.
 */

export interface UsageAgentDeps {
  readonly bus: Pick<Bus, "fetchBatches">;
  readonly openSession: () => Promise<WriterSession>;
  readonly apply: (writer: UsageWriter, received: ReceivedUsage) => Promise<void>;
  /** How long a batch waits for more messages. */
  readonly lingerMs: number;
  /** After which what was delivered and not confirmed comes again: more than three times the slowest batch. */
  readonly ackWaitMs: number;
  /** Between two rounds of claiming. */
  readonly roundMs: number;
  readonly onFailure: (error: unknown) => void;
}

export interface UsageAgent {
  readonly owned: () => readonly number[];
  /** Ends the batches under way, frees the partitions. Idempotent. */
  stop(): Promise<void>;
}

/** Envelopes of one batch: up to 200 records each, so a full batch is a few transactions. */
const batchMessagesMax = 64;
/**
 * A machine that vanishes without closing its connections leaves a request at the server that swallows up to a batch, so
 * this is short beside the ack wait. It is no shorter because the client gives a request up, and with it what is on its
 * way, when it hears nothing for this long: a busy process must be able to pause.
 */
const fetchExpiresMs = 2_000;
/** Small, because all of it is delivered again after a crash. */
const ackPendingMax = 256;

class PartitionAgent implements UsageAgent {
  private readonly deps: UsageAgentDeps;
  private readonly stopping = new AbortController();
  private readonly consumers = new Map<number, { stop(): Promise<void> }>();
  private readonly running: Promise<void>;
  private session: WriterSession | undefined;
  private nap = new AbortController();

  constructor(deps: UsageAgentDeps) {
    this.deps = deps;
    this.running = this.run();
  }

  owned = (): readonly number[] => [...this.consumers.keys()];

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.nap = new AbortController();
      try {
        this.session ??= await this.deps.openSession();
        await this.round(this.session);
      } catch (error) {
        this.deps.onFailure(error);
        await this.drop();
      }
      const signal = AbortSignal.any([this.nap.signal, this.stopping.signal]);
      await delay(this.deps.roundMs, undefined, { signal }).catch(() => undefined);
    }
    await this.drop();
  }

  private async round(session: WriterSession): Promise<void> {
    const share = partitionShare(usagePartitions, await session.sessions());
    await Promise.all(
      this.owned()
        .slice(share)
        .map(async (partition) => {
          await this.stopConsumer(partition);
          await session.release(partition);
        }),
    );
    // Another starting point for each round: agents that start together should not all knock at the same door.
    const offset = Math.floor(Math.random() * usagePartitions);
    for (let step = 0; step < usagePartitions && this.consumers.size < share; step += 1) {
      if (this.stopping.signal.aborted) return;
      const partition = (offset + step) % usagePartitions;
      if (!this.consumers.has(partition) && (await session.claim(partition))) {
        this.consumers.set(partition, await this.startConsumer(session, partition));
      }
    }
  }

  private startConsumer(session: WriterSession, partition: number): Promise<{ stop(): Promise<void> }> {
    return this.deps.bus.fetchBatches({
      stream: usageEnvelope.stream,
      durable: `billing-usage-${String(partition)}`,
      subject: subjectOf(usageEnvelope.pattern, { partition: String(partition) }),
      batchMax: batchMessagesMax,
      expiresMs: fetchExpiresMs,
      ackWaitMs: this.deps.ackWaitMs,
      maxAckPending: ackPendingMax,
      lingerMs: this.deps.lingerMs,
      onBatch: async (messages) => {
        await this.deps.apply(session, received(messages, partition)).catch((error: unknown) => {
          // Perhaps the connection died: the next round finds out, and the sooner it runs the sooner others take over.
          this.nap.abort();
          throw error;
        });
        // Only now: what is not committed must come again.
        for (const message of messages) message.ack();
      },
    });
  }

  private async stopConsumer(partition: number): Promise<void> {
    const consumer = this.consumers.get(partition);
    this.consumers.delete(partition);
    await consumer?.stop().catch((error: unknown) => this.deps.onFailure(error));
  }

  /** Batches end before the session closes: its locks must outlive its writes. */
  private async drop(): Promise<void> {
    await Promise.all(this.owned().map((partition) => this.stopConsumer(partition)));
    const { session } = this;
    this.session = undefined;
    await session?.close();
  }
}

function received(messages: readonly BatchMessage[], partition: number): ReceivedUsage {
  const read = messages.map((message) => fromBusUsage(message, partition));
  const seqs = messages.map((message) => message.seq);
  return {
    partition,
    records: read.flatMap((part) => part.records),
    aside: read.flatMap((part) => part.aside),
    firstStreamSeq: Math.min(...seqs),
    lastStreamSeq: Math.max(...seqs),
  };
}

/** Begins to claim partitions; never fails, goes on trying. */
export function startUsageAgent(deps: UsageAgentDeps): UsageAgent {
  return new PartitionAgent(deps);
}
