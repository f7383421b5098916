import type { Bus } from "@codex/bus";
import type { Clock } from "@codex/kernel";
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { openEpoch, publishEnvelope, readStream, readWatermarks, recoverLease } from "./bus/adapters.ts";
import type { GatewayEvents } from "./events.ts";
import { lockDirectory } from "./spool/directory-lock.ts";
import { readLeftovers, type LeftoverEpoch } from "./spool/leftovers.ts";
import { EpochPublisher, type PublisherPorts } from "./spool/publisher.ts";
import { Spool } from "./spool/spool.ts";

/** The metering half of a worker: its spool of this epoch, and the publishers of this and of every recovered epoch. */

export interface MeteringOptions {
  readonly directory: string;
  readonly bytesMax: number;
  readonly ageMaxMs: number;
  readonly workerId: string;
  readonly bus: Bus;
  readonly events: GatewayEvents;
  readonly clock: Clock;
}

const segmentBytes = 16_777_216;
const reserveBytes = 4_194_304;
const healEveryMs = 1_000;
/** How long a stopping worker waits for billing before it leaves the rest to its next life. */
const drainMs = 5_000;
const recoverAgainMs = 2_000;

export class Metering {
  readonly epoch: number;
  readonly spool: Spool;
  private readonly publisher: EpochPublisher;
  private readonly recovered: readonly EpochPublisher[];
  private readonly unlock: () => void;
  private readonly bus: Bus;
  private readonly healer: NodeJS.Timeout;
  private readonly stopping = new AbortController();

  private constructor(options: MeteringOptions, epoch: number, unlock: () => void) {
    const { events } = options;
    this.epoch = epoch;
    this.unlock = unlock;
    this.bus = options.bus;
    this.recovered = readLeftovers(options.directory).map((leftover) =>
      recoverEpoch(options, leftover, this.stopping.signal),
    );
    this.publisher = new EpochPublisher(
      epoch,
      publisherPorts(options, {
        onEnvelope: (envelope) => this.spool.enveloped(envelope),
        onConfirmed: (watermarks) => this.spool.confirmed(watermarks),
      }),
    );
    this.spool = new Spool({
      directory: options.directory,
      workerId: options.workerId,
      epoch,
      segmentBytes,
      reserveBytes,
      bytesMax: options.bytesMax,
      unconfirmedAgeMs: () => this.publisher.unconfirmedAgeMs,
      unconfirmedAgeMaxMs: options.ageMaxMs,
      onRecord: (record) => this.publisher.add(record),
      onFault: (error) => events.spoolFault(error),
    });
    this.healer = setInterval(() => this.spool.heal(), healEveryMs);
    events.observeSpool(() => ({
      unconfirmed: this.unconfirmed,
      ageMs: this.publisher.unconfirmedAgeMs,
      bytes: this.spool.bytes,
      full: this.spool.full,
    }));
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

  async stop(): Promise<void> {
    clearInterval(this.healer);
    this.stopping.abort();
    await this.endAsks();
    await this.spool.synced();
    const confirmed = await this.publisher.drain(drainMs);
    for (const publisher of [this.publisher, ...this.recovered]) publisher.stop();
    await this.spool.close(confirmed);
    this.unlock();
  }

  /** What billing granted in an answer that was lost is given back now; when it does not say, the next life asks from the files. */
  private async endAsks(): Promise<void> {
    for (const { requestNo, accountId } of this.spool.unanswered) {
      try {
        const leaseId = await recoverLease(this.bus, this.epoch, requestNo, accountId);
        if (leaseId === undefined) this.spool.leaseRefused(requestNo);
        else {
          this.spool.leaseGranted(leaseId, accountId, requestNo);
          this.spool.leaseClosed(leaseId, accountId);
        }
      } catch {
        return;
      }
    }
  }
}

/** Sends what the epoch left, asks billing about leases it may have been granted in its last moment, and forgets it when all is confirmed. */
function recoverEpoch(options: MeteringOptions, leftover: LeftoverEpoch, signal: AbortSignal): EpochPublisher {
  const { events } = options;
  const { epoch, records, abandoned, damagedBytes } = leftover;
  events.epochRecovered(epoch, records.length, abandoned);
  if (damagedBytes > 0) events.spoolDamaged(epoch, damagedBytes);
  let asking = leftover.asks.length > 0;
  const publisher = new EpochPublisher(
    epoch,
    publisherPorts(options, { onEnvelope: () => undefined, onConfirmed: () => forgetIfDone() }),
  );
  const forgetIfDone = (): void => {
    if (asking || publisher.unconfirmed > 0) return;
    publisher.stop();
    leftover.forget();
  };
  publisher.repeat(leftover.envelopes);
  for (const record of records) publisher.add(record);
  if (asking) {
    void answersOf(options, leftover, signal).then((leases) => {
      if (!leases) return;
      for (const record of leftover.closesOf(leases)) publisher.add(record);
      asking = false;
      forgetIfDone();
    });
  } else {
    forgetIfDone();
  }
  return publisher;
}

type RecoveredLease = Parameters<LeftoverEpoch["closesOf"]>[0][number];

/** The leases that billing granted to the epoch's unanswered asks, in their order; undefined when it is stopped before billing says. Never rejects. */
async function answersOf(
  { bus, events }: MeteringOptions,
  { epoch, asks }: LeftoverEpoch,
  signal: AbortSignal,
): Promise<readonly RecoveredLease[] | undefined> {
  while (!signal.aborted) {
    try {
      const leases: RecoveredLease[] = [];
      for (const { requestNo, accountId } of asks) {
        const leaseId = await recoverLease(bus, epoch, requestNo, accountId);
        if (leaseId) leases.push({ leaseId, accountId });
      }
      return leases;
    } catch (error) {
      events.publishFault(error);
      await delay(recoverAgainMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

function publisherPorts(
  { bus, events, clock }: MeteringOptions,
  hooks: Pick<PublisherPorts, "onEnvelope" | "onConfirmed">,
): PublisherPorts {
  return {
    publish: (envelope) => publishEnvelope(bus, envelope),
    watermarks: (of) => readWatermarks(bus, of),
    stream: () => readStream(bus),
    onFault: (error) => events.publishFault(error),
    onSentAgain: (reason, records) => events.usageSentAgain(reason, records),
    monotonicMs: () => clock.monotonicMs(),
    ...hooks,
  };
}
