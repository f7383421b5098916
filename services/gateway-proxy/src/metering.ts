import type { Bus } from "@codex/bus";
import type { Clock } from "@codex/kernel";
import { mkdirSync } from "node:fs";
import { openEpoch, publishEnvelope, readWatermarks } from "./bus/adapters.ts";
import type { GatewayEvents } from "./events.ts";
import { lockDirectory } from "./spool/directory-lock.ts";
import { readLeftovers } from "./spool/leftovers.ts";
import { EpochPublisher } from "./spool/publisher.ts";
import { Spool } from "./spool/spool.ts";

/** The metering half of a worker: its spool of this epoch, and the publishers of this and of every recovered epoch. */

export interface MeteringOptions {
  readonly directory: string;
  readonly bytesMax: number;
  readonly workerId: string;
  readonly bus: Bus;
  readonly events: GatewayEvents;
  readonly clock: Clock;
}

const segmentBytes = 16_777_216;
/** How long a stopping worker waits for billing before it leaves the rest to its next life. */
const drainMs = 5_000;

export class Metering {
  readonly epoch: number;
  readonly spool: Spool;
  private readonly publisher: EpochPublisher;
  private readonly recovered: readonly EpochPublisher[];
  private readonly unlock: () => void;

  private constructor(options: MeteringOptions, epoch: number, unlock: () => void) {
    this.epoch = epoch;
    this.unlock = unlock;
    this.recovered = recoverAll(options);
    this.publisher = createPublisher(options, epoch, (watermarks) => this.spool.confirmed(watermarks));
    this.spool = new Spool({
      directory: options.directory,
      workerId: options.workerId,
      epoch,
      segmentBytes,
      bytesMax: options.bytesMax,
      onRecord: (record) => this.publisher.add(record),
      onFault: (error) => options.events.spoolFault(error),
    });
    options.events.observeUnconfirmed(() => this.unconfirmed);
  }

  /** Takes the directory, opens an epoch at billing and begins to send what earlier lives left. Rejects when billing does not answer. */
  static async start(options: MeteringOptions): Promise<Metering> {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    const unlock = lockDirectory(options.directory);
    try {
      return new Metering(options, await openEpoch(options.bus, options.workerId), unlock);
    } catch (error) {
      unlock();
      throw error;
    }
  }

  get unconfirmed(): number {
    return [this.publisher, ...this.recovered].reduce((sum, publisher) => sum + publisher.unconfirmed, 0);
  }

  /** Resolves when billing has everything so far, or after the deadline. */
  async settled(deadlineMs: number): Promise<void> {
    await this.publisher.drain(deadlineMs);
  }

  async stop(): Promise<void> {
    const confirmed = await this.publisher.drain(drainMs);
    for (const publisher of [this.publisher, ...this.recovered]) publisher.stop();
    await this.spool.close(confirmed);
    this.unlock();
  }
}

function recoverAll(options: MeteringOptions): EpochPublisher[] {
  return readLeftovers(options.directory).map((leftover) => {
    options.events.epochRecovered(leftover.epoch, leftover.records.length, leftover.abandoned);
    const publisher = createPublisher(options, leftover.epoch, () => {
      if (publisher.unconfirmed > 0) return;
      publisher.stop();
      leftover.forget();
    });
    for (const record of leftover.records) publisher.add(record);
    if (leftover.records.length === 0) {
      publisher.stop();
      leftover.forget();
    }
    return publisher;
  });
}

function createPublisher(
  options: MeteringOptions,
  epoch: number,
  onConfirmed: (watermarks: ReadonlyMap<number, number>) => void,
): EpochPublisher {
  return new EpochPublisher(epoch, {
    publish: (envelope) => publishEnvelope(options.bus, envelope),
    watermarks: (of) => readWatermarks(options.bus, of),
    onConfirmed,
    onFault: (error) => options.events.publishFault(error),
    monotonicMs: () => options.clock.monotonicMs(),
  });
}
