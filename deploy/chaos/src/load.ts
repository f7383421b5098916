import { setTimeout as delay } from "node:timers/promises";
import { Client, type Observation } from "./client.ts";
import type { Customer } from "./database.ts";
import type { Random } from "./random.ts";

/**
 * Many customers asking at a steady rate: one of them much more than the others, some with nearly nothing left. Plain and
 * streamed, through every gateway, with clients that leave and an upstream that misbehaves.
 */

export interface LoadOptions {
  readonly gateways: readonly { readonly name: string; readonly url: string }[];
  /** The first is the hot one. */
  readonly customers: readonly Customer[];
  /** Requests a second. */
  readonly rate: number;
  /** Requests that may run at once; what would be beyond is not sent. */
  readonly concurrencyMax: number;
  readonly random: Random;
  readonly onObservation: (observation: Observation) => void;
}

const everyMs = 10;
const hotShare = 0.3;
const leaveShare = 0.07;

/** How often which model is asked for. */
const mixture: readonly (readonly [string, number])[] = [
  ["demo-small", 58],
  ["demo-slow", 8],
  ["demo-large", 6],
  ["demo-no-usage", 7],
  ["demo-tools", 5],
  ["demo-hostile-usage", 5],
  ["demo-midstream-cut", 4],
  ["demo-midstream-reset", 2],
  ["demo-error-in-stream", 2],
  ["demo-error-429", 1.5],
  ["demo-error-503", 1.5],
];

const sentence = "The keeper of the lighthouse counts the ships that pass, and writes each of them down. ";

export class Load {
  sent = 0;
  /** Not sent because too many were running: the system, or this machine, did not keep up. */
  heldBack = 0;
  /** The rate may be changed while it runs. */
  rate: number;
  private readonly options: LoadOptions;
  private readonly client = new Client();
  private readonly running = new Set<Promise<void>>();
  private stopping = false;
  private loop: Promise<void> | undefined;

  constructor(options: LoadOptions) {
    this.options = options;
    this.rate = options.rate;
  }

  start(): void {
    this.loop = this.run();
  }

  /** Sends nothing more, and waits until every client has its answer or gave up (20 s without a byte). */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop;
    await Promise.all(this.running);
    this.client.close();
  }

  private async run(): Promise<void> {
    let lastMs = performance.now();
    let owed = 0;
    while (!this.stopping) {
      await delay(everyMs);
      const nowMs = performance.now();
      // After a pause of this process the backlog is not caught up with: it would be a flood and not a load.
      owed = Math.min(owed + ((nowMs - lastMs) * this.rate) / 1_000, this.rate / 5 + 1);
      lastMs = nowMs;
      for (; owed >= 1; owed -= 1) {
        if (this.running.size < this.options.concurrencyMax) this.askOnce();
        else this.heldBack += 1;
      }
    }
  }

  private askOnce(): void {
    const { gateways, customers, random } = this.options;
    const gateway = random.pick(gateways);
    const customer = random.chance(hotShare) ? customers[0] : random.pick(customers);
    if (customer === undefined) return;
    this.sent += 1;
    const work = this.client
      .ask({
        gateway: gateway.name,
        url: gateway.url,
        customer,
        model: random.weighted(mixture),
        stream: random.chance(0.5),
        maxTokens: random.integer(20, 200),
        words: sentence.repeat(random.integer(1, 6)),
        leaveAfterMs: random.chance(leaveShare) ? random.integer(1, 500) : undefined,
      })
      .then(this.options.onObservation)
      .finally(() => this.running.delete(work));
    this.running.add(work);
  }
}
