import { jetstreamManager } from "@nats-io/jetstream";
import { streams } from "@codex/contracts";
import { setTimeout as delay } from "node:timers/promises";
import { Client, type Observation } from "./client.ts";
import { fillDisk, freeDisk } from "./disk-quota.ts";
import type { Gateway } from "./fleet.ts";
import { copyStore, loseTail, restartWith, tailLosses } from "./nats-store.ts";
import type { Program } from "./processes.ts";
import type { Random } from "./random.ts";
import type { RecoveryClock } from "./recovery.ts";
import { redeliver } from "./redeliver.ts";
import type { Action } from "./schedule.ts";
import { allServers, type Server } from "./servers.ts";
import type { LinkMode } from "./tcp-proxy.ts";
import type { World } from "./world.ts";

export interface ActorDeps {
  readonly world: World;
  readonly clock: RecoveryClock;
  readonly random: Random;
  readonly onObservation: (observation: Observation) => void;
  /** The gateways' spools lie on small disks. */
  readonly smallDisks: boolean;
}

/** A supervisor's delay, also for the servers that are not ours. */
const restartDelayMs = 200;
const trapWaitMs = 3_000;

/** Carries out actions. Several may run at once. */
export class Actor {
  private readonly deps: ActorDeps;
  private readonly client = new Client();
  /** So far, by the action `redeliver`. */
  recordsSentAgain = 0;
  private active = 0;
  /** Two actions on one server would undo each other half-way. */
  private readonly busy = new Set<string>();

  constructor(deps: ActorDeps) {
    this.deps = deps;
  }

  /** Says in a few words what came of it. Rejects only by a defect of this program or of a server that does not come back. */
  async run(action: Action): Promise<string> {
    if (this.busy.has(action.target)) return "left out: the target is in the middle of another action";
    this.busy.add(action.target);
    this.active += 1;
    this.deps.clock.disturbed();
    try {
      return await this.carryOut(action);
    } finally {
      this.active -= 1;
      this.busy.delete(action.target);
    }
  }

  close(): void {
    this.client.close();
  }

  private carryOut(action: Action): Promise<string> {
    const { kind, target, ms, size } = action;
    switch (kind) {
      case "kill":
        return this.killAny(target);
      case "kill-host":
        return this.killHost(target);
      case "pause":
        return this.pause(target, ms);
      case "outage":
        return this.outage(this.server(target), ms);
      case "cut":
      case "black-hole":
        return this.disturbLink(target, { kind }, ms);
      case "latency":
        return this.disturbLink(target, { kind, ms: 10 + size * 3 }, ms);
      case "truncate":
        return this.disturbLink(target, { kind, bytes: size }, 1_000);
      case "nats-tail-lost":
        return this.loseNatsTail(ms, size);
      case "nats-leader":
        return this.killLeader(ms);
      case "postgres-mid-batch":
        return this.killPostgresMidBatch();
      case "billing-after-commit":
        return this.afterCommit(target, false);
      case "commit-unheard":
        return this.afterCommit(target, true);
      case "gateway-mid-stream":
        return this.killMidStream(this.gateway(target), ms);
      case "gateway-before-publish":
        return this.killBeforePublish(this.gateway(target), ms);
      case "redeliver":
        return this.sendAgain(20 + size * 4);
      case "spool-full":
        return this.fillSpool(this.gateway(target), ms);
    }
  }

  private async killAny(target: string): Promise<string> {
    const program = this.program(target);
    if (program === undefined) return this.killServer(this.server(target));
    return this.killProgram(program);
  }

  private killProgram(program: Program): Promise<string> {
    if (program.pid === undefined) return Promise.resolve("it was down already");
    this.note(kindOf(program.name), program.name);
    program.kill();
    return Promise.resolve("killed");
  }

  private async killServer(server: Server): Promise<string> {
    this.note(server.name.startsWith("nats") ? "nats" : server.name, server.name);
    await server.kill();
    await delay(restartDelayMs);
    await server.start();
    return "killed and started again";
  }

  private async killHost(host: string): Promise<string> {
    const workers = this.deps.world.fleet.gateways.filter((gateway) => gateway.host === host);
    for (const { program } of workers) await this.killProgram(program);
    return `${String(workers.length)} workers killed`;
  }

  private async pause(target: string, ms: number): Promise<string> {
    const stopped = this.program(target) ?? this.server(target);
    stopped.pause();
    await delay(ms);
    stopped.resume();
    return `stopped for ${String(ms)} ms`;
  }

  private async outage(server: Server, ms: number): Promise<string> {
    await server.kill();
    await delay(ms);
    await server.start();
    return `down for ${String(ms)} ms`;
  }

  private async sendAgain(count: number): Promise<string> {
    try {
      const { envelopes, records } = await redeliver(this.deps.world.bus, this.deps.random, count);
      this.recordsSentAgain += records;
      return `${String(envelopes)} envelopes again`;
    } catch (error) {
      return `not possible now: ${String(error)}`;
    }
  }

  private async disturbLink(name: string, mode: LinkMode, ms: number): Promise<string> {
    const link = this.deps.world.links().find((candidate) => candidate.name === name);
    if (link === undefined) throw new Error(`no cable is named ${name}`);
    link.set(mode);
    await delay(ms);
    link.set({ kind: "pass" });
    return `${mode.kind} for ${String(ms)} ms`;
  }

  private async loseNatsTail(ms: number, variant: number): Promise<string> {
    const { dataDir, servers } = this.deps.world;
    const how = tailLosses[variant % tailLosses.length] ?? tailLosses[0];
    let aside = "";
    if (how === "older copy") {
      await restartWith(servers.nats, () => {
        aside = copyStore(dataDir);
      });
      await delay(1_000 + ms);
    }
    let lost = "";
    this.note("nats", "nats");
    await restartWith(servers.nats, () => {
      lost = loseTail(dataDir, how, aside);
    });
    return `${how}: ${lost}`;
  }

  private async killLeader(ms: number): Promise<string> {
    const { cluster, bus } = this.deps.world;
    if (cluster === undefined) throw new Error("there is no cluster");
    const manager = await jetstreamManager(bus.connection, { timeout: 2_000 }).catch(() => undefined);
    const info = await manager?.streams.info(streams.USAGE.name).catch(() => undefined);
    const leader = cluster.nodes.find(({ name }) => name === info?.cluster?.leader);
    if (leader === undefined) return "nobody leads the usage stream at the moment";
    this.note("nats", leader.name);
    await leader.kill();
    await delay(1_000 + ms);
    await leader.start();
    return `${leader.name} led and was killed`;
  }

  private async killPostgresMidBatch(): Promise<string> {
    const { fleet, servers } = this.deps.world;
    const kills: Promise<string>[] = [];
    const act = (): void => {
      if (kills.length === 0) kills.push(this.killServer(servers.postgres));
    };
    const disarm = fleet.billings.map(({ batches }) => batches.arm({ moment: "sent", swallow: false, act }));
    await waitFor(() => kills.length > 0);
    for (const takeBack of disarm) takeBack();
    return kills[0] ?? "no batch came by";
  }

  private async afterCommit(target: string, swallow: boolean): Promise<string> {
    const billing = this.deps.world.fleet.billings.find(({ program }) => program.name === target);
    if (billing === undefined) throw new Error(`no billing is named ${target}`);
    const kept = { sprung: false };
    const takeBack = billing.batches.arm({
      moment: "committed",
      swallow,
      act: () => {
        kept.sprung = true;
        if (swallow) return;
        this.note("billing", target);
        billing.program.kill();
      },
    });
    await waitFor(() => kept.sprung);
    takeBack();
    if (!kept.sprung) return "no batch came by";
    return swallow ? "committed, and the answer thrown away" : "killed between commit and ack";
  }

  private async killMidStream(gateway: Gateway, ms: number): Promise<string> {
    const { customers } = this.deps.world;
    const streams = Array.from({ length: 4 }, (_, index) =>
      this.client.ask({
        gateway: gateway.program.name,
        url: gateway.url,
        customer: customers[index % customers.length] as (typeof customers)[number],
        model: "demo-slow",
        stream: true,
        maxTokens: 200,
        words: "Tell of the keeper and the sea.",
        leaveAfterMs: undefined,
      }),
    );
    await delay(300 + ms);
    const result = await this.killProgram(gateway.program);
    for (const observation of await Promise.all(streams)) this.deps.onObservation(observation);
    return result;
  }

  private async killBeforePublish(gateway: Gateway, ms: number): Promise<string> {
    gateway.links.nats.set({ kind: "black-hole" });
    await delay(300 + ms);
    this.note("gateway", gateway.program.name);
    gateway.program.kill({ hold: true });
    gateway.links.nats.set({ kind: "cut" });
    await delay(restartDelayMs);
    gateway.links.nats.set({ kind: "pass" });
    gateway.program.release();
    return "killed with answers that were not published";
  }

  private async fillSpool(gateway: Gateway, ms: number): Promise<string> {
    if (this.deps.smallDisks) {
      fillDisk(gateway.spoolDir);
      await delay(ms);
      freeDisk(gateway.spoolDir);
      return `no byte left on its disk for ${String(ms)} ms`;
    }
    return this.disturbLink(gateway.links.nats.name, { kind: "black-hole" }, ms * 2);
  }

  private note(kind: string, target: string): void {
    this.deps.clock.killed(kind, target, this.active === 1);
  }

  private program(name: string): Program | undefined {
    const { fleet } = this.deps.world;
    return [fleet.keyRegistry, ...fleet.billings, ...fleet.gateways].find(({ program }) => program.name === name)
      ?.program;
  }

  private server(name: string): Server {
    const { servers, cluster } = this.deps.world;
    const found = [...allServers(servers), ...(cluster?.nodes ?? [])].find((server) => server.name === name);
    if (found === undefined) throw new Error(`nothing is named ${name}`);
    return found;
  }

  private gateway(name: string): Gateway {
    const found = this.deps.world.fleet.gateways.find(({ program }) => program.name === name);
    if (found === undefined) throw new Error(`no gateway is named ${name}`);
    return found;
  }
}

function kindOf(name: string): string {
  return name.startsWith("gateway") ? "gateway" : name.startsWith("billing") ? "billing" : name;
}

/** A batch comes by within milliseconds under load; not at all when everything is down already. */
async function waitFor(condition: () => boolean): Promise<void> {
  const untilMs = performance.now() + trapWaitMs;
  while (!condition() && performance.now() < untilMs) await delay(5);
}
