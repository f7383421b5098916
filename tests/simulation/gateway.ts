import { uuidToId, type AccountId, AppError, type Clock, type KeyId } from "@codex/kernel";
import { hearRecalls, leaseGranter, leaseReturner, Lender, Metering, type GatewayEvents } from "@codex/gateway-proxy";
import type { MemoryFiles } from "./memory-files.ts";
import type { Ledger } from "./ledger.ts";
import { simulatedBus, type Network } from "./simulated-bus.ts";
import type { SimulatedProcess } from "./virtual-time.ts";

/** One gateway: a machine with a disk and a wrong clock, and the lives of the process on it. The code of each life is the product's. */

export interface Job {
  readonly accountId: AccountId;
  readonly hold: bigint;
  readonly cost: bigint;
  readonly takesMs: number;
}

type Death = "kill" | "power cut" | "disk lost";

const sweepMs = 500;
const startAgainMs = 700;
const progressMs = 1_000;
const clockBegin = Date.parse("2026-11-25T00:00:00Z");

export class Gateway {
  readonly folder: string;
  readonly epochs: number[] = [];
  /**
   * Epochs that may never end by themselves, whose money billing takes back after a day: the disk was lost, or the power went
   * while a lease was asked for and the ask was not yet synced.
   */
  readonly lostEpochs: number[] = [];
  private readonly name: string;
  private readonly network: Network;
  private readonly files: MemoryFiles;
  private readonly ledger: Ledger;
  private readonly clock: Clock;
  private pausedAtMs = 0;
  private process: SimulatedProcess | undefined;
  private metering: Metering | undefined;
  private lender: Lender | undefined;

  constructor(name: string, network: Network, files: MemoryFiles, ledger: Ledger) {
    this.name = name;
    this.folder = `/simulated/${name}`;
    this.network = network;
    this.files = files;
    this.ledger = ledger;
    const skewMs = network.random.int(-3_600_000, 3_600_000);
    // A quartz is wrong by a hundred parts in a million at worst; this one by a hundred times that.
    const rate = 1 + (network.random.fraction() - 0.5) / 50;
    this.clock = {
      now: () => new Date(clockBegin + skewMs + network.time.nowMs),
      monotonicMs: () => network.time.nowMs * rate,
    };
  }

  get unconfirmed(): number {
    return this.metering?.unconfirmed ?? -1;
  }

  get running(): boolean {
    return this.lender !== undefined;
  }

  start(): void {
    const owner: SimulatedProcess = { name: this.name, dead: false, pausedUntilMs: 0 };
    this.process = owner;
    this.network.time.as(owner, () => {
      this.live(owner).catch((error: unknown) => this.network.time.fail(error));
    });
  }

  die(death: Death): void {
    if (!this.process || this.process.dead) return;
    this.process.dead = true;
    if (death !== "kill") this.lostEpochs.push(...this.epochs);
    if (death === "disk lost") {
      this.files.wipe(this.folder);
    } else {
      this.files.crash(this.folder, death === "power cut");
    }
    const standsStill = this.process.pausedUntilMs > this.network.time.nowMs;
    this.ledger.died(this.name, death, standsStill ? this.pausedAtMs : this.network.time.nowMs);
    this.metering = undefined;
    this.lender = undefined;
    this.network.world.recallListeners.clear();
  }

  /** SIGSTOP until then. */
  pause(ms: number): void {
    this.pausedAtMs = this.network.time.nowMs;
    if (this.process) this.process.pausedUntilMs = this.network.time.nowMs + ms;
  }

  serve(job: Job): void {
    const owner = this.process;
    if (!owner || owner.dead) return;
    const begin = (): void => {
      this.request(job).catch((error: unknown) => this.network.time.fail(error));
    };
    // Through a timer: a process that stands still takes it when it goes on.
    this.network.time.after(0, begin, undefined, owner);
  }

  private async live(owner: SimulatedProcess): Promise<void> {
    const bus = simulatedBus(this.network, owner);
    const metering = await this.startMetering(owner, bus);
    if (!metering) return;
    this.epochs.push(metering.epoch);
    const lender = new Lender({
      grant: leaseGranter(bus, () => metering.epoch),
      asked: (requestNo, accountId) => metering.spool.leaseAsked(requestNo, accountId),
      refused: (requestNo) => metering.spool.leaseRefused(requestNo),
      leaseGranted: (leaseId, accountId, requestNo) => metering.spool.leaseGranted(leaseId, accountId, requestNo),
      leaseClosed: (leaseId, accountId) => void metering.spool.leaseClosed(leaseId, accountId),
      giveBack: leaseReturner(bus, () => metering.epoch),
      clock: this.clock,
    });
    await hearRecalls(bus, lender, () => metering.epoch, { defer: () => undefined } as never);
    setInterval(() => lender.sweep(), sweepMs);
    this.metering = metering;
    this.lender = lender;
  }

  /** A start that fails ends the process; whoever supervises it starts another one. */
  private async startMetering(
    owner: SimulatedProcess,
    bus: ReturnType<typeof simulatedBus>,
  ): Promise<Metering | undefined> {
    try {
      return await Metering.start({
        directory: this.folder,
        bytesMax: 100_000_000,
        ageMaxMs: 600_000,
        workerId: this.name,
        bus,
        events: silent,
        clock: this.clock,
      });
    } catch (error) {
      if (!(error instanceof AppError) && !isFull(error)) throw error;
      owner.dead = true;
      this.files.crash(this.folder, false);
      this.network.time.after(startAgainMs, () => this.start(), undefined, null);
      return undefined;
    }
  }

  /** As the routes do it: hold, journal, answer, charge, release. */
  private async request(job: Job): Promise<void> {
    const { lender, metering } = this;
    if (!lender || !metering || metering.spool.full) return;
    const { random } = this.network;
    const keyId: KeyId = uuidToId("key", random.uuid());
    const payer = { accountId: job.accountId, keyId, caps: null, version: 1 };
    const economies = { tighten: async () => undefined, shorten: () => undefined };
    const admission = await lender
      .admit(payer, { amount: job.hold, outputTokens: 1 }, economies)
      .catch((error: unknown) => {
        // A refusal, or a disk that is full.
        if (error instanceof AppError || isFull(error)) return undefined;
        throw error;
      });
    if (!admission) return;
    const { ticket } = admission;
    const open = {
      requestId: uuidToId("req", random.uuid()),
      accountId: job.accountId,
      keyId,
      leaseId: ticket.lease.leaseId,
      model: "demo",
      route: "/v1",
      channel: "demo",
      streamed: true,
      priceVersion: uuidToId("prc", random.uuid()),
      priceGroup: "default",
      holdMicroTokens: ticket.hold,
      inputBytes: 4,
      startedAt: this.clock.now().toISOString(),
    };
    try {
      metering.spool.requestOpened(open);
    } catch {
      lender.settle(ticket, 0n);
      return;
    }
    this.ledger.opened(open.requestId, { ...job, gateway: this.name });
    for (let at = progressMs; at < job.takesMs; at += progressMs) {
      await new Promise((resolve) => setTimeout(resolve, progressMs));
      const costMicroTokens = (job.cost * BigInt(at)) / BigInt(job.takesMs);
      metering.spool.progress({ requestId: open.requestId, deliveredBytes: at, costMicroTokens, outputTokens: 1 });
    }
    await new Promise((resolve) => setTimeout(resolve, job.takesMs % progressMs));
    const { model, route, channel, streamed, priceVersion, priceGroup, holdMicroTokens, startedAt, requestId } = open;
    metering.spool.requestClosed({
      requestId,
      accountId: job.accountId,
      keyId,
      leaseId: open.leaseId,
      route,
      model,
      channel,
      status: "ok",
      httpStatus: 200,
      errorCode: null,
      streamed,
      tokens: { input: 1, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 1, reasoning: 0 },
      images: null,
      audioMs: 0,
      priceGroup,
      estimated: false,
      priceVersion,
      holdMicroTokens,
      costMicroTokens: job.cost,
      startedAt,
      firstByteMs: 1,
      durationMs: job.takesMs,
    });
    this.ledger.delivered(requestId, this.network.time.nowMs);
    lender.settle(ticket, job.cost);
  }
}

const silent = new Proxy({}, { get: () => () => undefined }) as GatewayEvents;

function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ("code" in error && error.code === "ENOSPC") || isFull(error.cause);
}
