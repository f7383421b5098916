import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { appendFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Actor } from "./actions.ts";
import { readBooks } from "./books.ts";
import type { Observation } from "./client.ts";
import { compare, isClean, type Verdict } from "./compare.ts";
import { readJournal } from "./journal.ts";
import { auditLedger } from "./ledger-audit.ts";
import { Load } from "./load.ts";
import { writePostMortem } from "./post-mortem.ts";
import { leftInSpools, untilQuiet } from "./quiet.ts";
import { race } from "./race.ts";
import { Random } from "./random.ts";
import { RecoveryClock, type KillRecord } from "./recovery.ts";
import type { Scenario } from "./scenarios.ts";
import { makeSchedule, type Action, type Targets } from "./schedule.ts";
import type { Server } from "./servers.ts";
import { retireGateways, startWorld, type World } from "./world.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly durationMs: number;
  /** Requests a second. */
  readonly rate: number;
  readonly gatewayHosts: number;
  readonly workersPerHost: number;
  readonly raceRepeats: number;
  readonly raceRequests: number;
  /** The folder with the logs stays even when all is well. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface RunResult {
  readonly scenario: string;
  readonly seed: number;
  readonly seconds: number;
  readonly clean: boolean;
  readonly verdict: Verdict;
  readonly sent: number;
  readonly heldBack: number;
  /** Answers by status or reason. */
  readonly answers: Readonly<Record<string, number>>;
  readonly inserted: number;
  readonly duplicates: number;
  /** Records that a fault has put into the stream once more; each is a duplicate, unless another fault took it out again. */
  readonly sentAgain: number;
  readonly kills: readonly KillRecord[];
  readonly actions: Readonly<Record<string, number>>;
  /** What had not come to rest before the books were compared, or was still in a spool afterwards. */
  readonly restless: readonly string[];
  readonly endedByItself: readonly string[];
  readonly quietAfterS: number;
  /** Kept when something is wrong, or on demand. */
  readonly folder: string | undefined;
}

/** Long pauses outlast this: a lease expires, and another replica has taken over. */
const takeOverMs = 3_000;
const leaseTtlMs = 3_000;
const healTimeoutMs = 60_000;
const quietTimeoutMs = 90_000;
const concurrencyMax = 96;
const loadCustomers = 24;
const poorCustomers = 6;
const richMicroTokens = 1_000_000_000_000n;

/** One run from nothing to the verdict. Throws when the arrangement cannot be started; everything is stopped in any case. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { scenario, signal } = options;
  options.log(`starting the processes (scenario ${scenario.name}, seed ${String(options.seed)})`);
  const world = await startWorld({
    gatewayHosts: options.gatewayHosts,
    workersPerHost: scenario.race !== undefined ? 1 : options.workersPerHost,
    billings: 2,
    customers: scenario.race !== undefined ? options.raceRepeats : loadCustomers,
    leaseTtlMs,
    spoolBytesMax: 1_073_741_824,
    smallDiskBytes: 0,
    clockSkewMs: () => 0,
    cluster: false,
    keep: options.keep,
    signal,
    log: options.log,
    ...scenario.world,
  });
  const stopAtOnce = (): void => void world.stop(false);
  signal.addEventListener("abort", stopAtOnce, { once: true });
  let clean = false;
  try {
    signal.throwIfAborted();
    const session = new Session(world, options);
    const result = await session.run();
    ({ clean } = result);
    return result;
  } finally {
    signal.removeEventListener("abort", stopAtOnce);
    await world.stop(options.keep || (!clean && !signal.aborted));
  }
}

class Session {
  private readonly world: World;
  private readonly options: RunOptions;
  private readonly observations: Observation[] = [];
  private readonly actions: Record<string, number> = {};
  private readonly findings: string[] = [];
  private readonly clock: RecoveryClock;
  private readonly startedMs = performance.now();
  private sent = 0;
  private sentAgain = 0;
  private heldBack = 0;

  constructor(world: World, options: RunOptions) {
    this.world = world;
    this.options = options;
    this.clock = new RecoveryClock(world);
  }

  async run(): Promise<RunResult> {
    try {
      await this.make();
      return await this.conclude();
    } finally {
      // Also of a run that was ended: its timer would keep the program.
      this.clock.stop();
    }
  }

  private async make(): Promise<void> {
    const { scenario, raceRepeats, raceRequests, signal, log } = this.options;
    if (scenario.race !== undefined) {
      const raced = {
        repeats: raceRepeats,
        requests: raceRequests,
        far: scenario.race === "far" ? new Random(this.options.seed) : undefined,
        signal,
        onObservation: this.observe,
        onProgress: log,
      };
      this.findings.push(...(await race(this.world, raced)));
      this.sent = this.observations.length;
    } else {
      await this.fund();
      await this.disturb();
    }
  }

  private readonly observe = (observation: Observation): void => {
    this.observations.push(observation);
    this.clock.observe(observation);
  };

  /** One line an event, beside the logs of the processes. */
  private note(what: object): void {
    const atMs = Math.round(performance.now() - this.startedMs);
    appendFileSync(
      path.join(this.world.dataDir, "logs/chaos.jsonl"),
      `${JSON.stringify({ atMs, at: new Date().toISOString(), ...what })}\n`,
    );
  }

  /** Most customers cannot run out of money, some nearly have. */
  private async fund(): Promise<void> {
    const { world } = this;
    const random = new Random(this.options.seed).fork("money");
    for (const [index, { accountId }] of world.customers.entries()) {
      const poor = index >= loadCustomers - poorCustomers;
      await world.grant(accountId, poor ? BigInt(random.integer(150_000, 3_000_000)) : richMicroTokens);
    }
    const ids = world.customers.map(({ accountId }) => idToUuid(accountId));
    await eventually(
      async () => {
        const { rows } = await world.admin.query<{ n: string }>(
          "select count(*) as n from balance where account_id = any ($1) and paid > 0",
          [ids],
        );
        return rows[0]?.n === String(ids.length);
      },
      { timeoutMs: 20_000, what: "the money of the customers" },
    );
    // What the seeding wrote is no part of any recovery.
    await world.admin.query("checkpoint");
  }

  private async disturb(): Promise<void> {
    const { world, options } = this;
    const random = new Random(options.seed);
    const load = new Load({
      gateways: world.fleet.gateways.map(({ program, url }) => ({ name: program.name, url })),
      customers: world.customers,
      rate: options.rate,
      concurrencyMax,
      random: random.fork("load"),
      onObservation: this.observe,
    });
    const actor = new Actor({
      world,
      clock: this.clock,
      random: random.fork("actions"),
      onObservation: this.observe,
      smallDisks: world.smallDisks,
    });
    const schedule = makeSchedule({
      random: random.fork("schedule"),
      durationMs: options.durationMs,
      weights: options.scenario.weights,
      targets: targetsOf(world),
      gapMs: options.scenario.gapMs,
      takeOverMs,
    });
    load.start();
    try {
      await this.follow(schedule, actor);
    } finally {
      // Of a run that was ended there is nothing left to heal.
      if (!options.signal.aborted) {
        options.log("no more faults; waiting for the clients");
        await world.heal(healTimeoutMs);
      }
      await load.stop();
      actor.close();
      this.sentAgain = actor.recordsSentAgain;
      this.sent = load.sent;
      this.heldBack = load.heldBack;
    }
  }

  private async follow(schedule: readonly Action[], actor: Actor): Promise<void> {
    const { signal, durationMs } = this.options;
    const startedMs = performance.now();
    const running: Promise<void>[] = [];
    for (const action of schedule) {
      await delay(Math.max(0, action.atMs - (performance.now() - startedMs)), undefined, { signal });
      this.actions[action.kind] = (this.actions[action.kind] ?? 0) + 1;
      running.push(this.perform(action, actor));
    }
    await delay(Math.max(0, durationMs - (performance.now() - startedMs)), undefined, { signal });
    await Promise.all(running);
  }

  private async perform(action: Action, actor: Actor): Promise<void> {
    const { atMs: plannedMs, ...rest } = action;
    this.note({ event: "action", plannedMs, ...rest });
    try {
      const result = await actor.run(action);
      this.note({ event: "action ended", kind: action.kind, target: action.target, result });
    } catch (error) {
      this.note({ event: "action failed", kind: action.kind, target: action.target, error: String(error) });
      this.findings.push(`${action.kind} of ${action.target} failed: ${String(error)}`);
    }
  }

  private async conclude(): Promise<RunResult> {
    const { world, options, clock } = this;
    const healedMs = performance.now();
    const late = await world.heal(healTimeoutMs);
    const unrest = await untilQuiet(world, quietTimeoutMs);
    const quietAfterS = (performance.now() - healedMs) / 1_000;
    clock.stop();
    const programs = [world.fleet.keyRegistry, ...world.fleet.billings, ...world.fleet.gateways].map(
      (one) => one.program,
    );
    const endedByItself = programs.flatMap(({ name, endedByItself: list }) => list.map((how) => `${name}: ${how}`));
    await retireGateways(world.fleet.gateways);
    const books = await readBooks(world.admin);
    const deliveries = await readJournal(world.fleet.journalFile);
    const compared = compare({ observations: this.observations, deliveries, books, granted: world.granted });
    const audited = await auditLedger(world.database.adminUrl);
    const verdict = { ...compared, findings: [...this.findings, ...compared.findings, ...audited] };
    const restless = [...late.map((name) => `${name} is not ready`), ...unrest, ...leftInSpools(world)];
    const clean = isClean(verdict) && restless.length === 0 && !options.signal.aborted;
    this.note({
      event: "verdict",
      clean,
      lost: verdict.lost,
      doubled: verdict.doubled,
      findings: verdict.findings,
      restless,
    });
    const result: RunResult = {
      scenario: options.scenario.name,
      seed: options.seed,
      seconds: Math.round((performance.now() - this.startedMs) / 1_000),
      clean,
      verdict,
      sent: this.sent,
      heldBack: this.heldBack,
      answers: countAnswers(this.observations),
      inserted: books.inserted,
      duplicates: books.duplicates,
      sentAgain: this.sentAgain,
      kills: clock.records,
      actions: this.actions,
      restless,
      endedByItself,
      quietAfterS,
      folder: options.keep || !clean ? world.dataDir : undefined,
    };
    if (!clean) writePostMortem(world, result, { observations: this.observations, deliveries, usage: books.usage });
    return result;
  }
}

function targetsOf(world: World): Targets {
  const { fleet, servers, cluster } = world;
  const natsNodes: readonly Server[] = cluster?.nodes ?? [servers.nats];
  return {
    gateways: fleet.gateways.map(({ program }) => program.name),
    gatewayHosts: [...new Set(fleet.gateways.map(({ host }) => host))],
    billings: fleet.billings.map(({ program }) => program.name),
    others: [fleet.keyRegistry.program.name],
    servers: [servers.postgres, servers.redis, ...natsNodes].map(({ name }) => name),
    links: world.links().map(({ name }) => name),
  };
}

function countAnswers(observations: readonly Observation[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, whole, left } of observations) {
    const kind = whole ? "whole" : left ? "client left" : status === 200 ? "cut" : String(status ?? "no answer");
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
