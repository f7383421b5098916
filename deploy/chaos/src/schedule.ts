import type { Random } from "./random.ts";

/** What is done to whom and when: decided before the run by the seed alone, so that the same seed does the same again. */

export const actionKinds = [
  "kill",
  "kill-host",
  "pause",
  "outage",
  "cut",
  "black-hole",
  "latency",
  "truncate",
  "nats-tail-lost",
  "nats-leader",
  "postgres-mid-batch",
  "billing-after-commit",
  "commit-unheard",
  "gateway-mid-stream",
  "gateway-before-publish",
  "redeliver",
  "spool-full",
] as const;
export type ActionKind = (typeof actionKinds)[number];

export interface Action {
  /** From the start of the run. */
  readonly atMs: number;
  readonly kind: ActionKind;
  /** Name of a process, a server, a cable or a host. */
  readonly target: string;
  /** How long it lasts, where it lasts. */
  readonly ms: number;
  /** A size or a variant, where there is one. */
  readonly size: number;
}

export interface Targets {
  readonly gateways: readonly string[];
  readonly gatewayHosts: readonly string[];
  readonly billings: readonly string[];
  readonly others: readonly string[];
  readonly servers: readonly string[];
  readonly links: readonly string[];
}

export type Weights = readonly (readonly [ActionKind, number])[];

export interface ScheduleOptions {
  readonly random: Random;
  readonly durationMs: number;
  readonly weights: Weights;
  readonly targets: Targets;
  /** Shortest and longest time between the beginnings of two actions. */
  readonly gapMs: readonly [number, number];
  /** Some pauses outlast a take-over, most are much shorter. */
  readonly takeOverMs: number;
}

const firstAtMs = 2_000;

export function makeSchedule(options: ScheduleOptions): readonly Action[] {
  const { random, durationMs, weights, gapMs } = options;
  const actions: Action[] = [];
  for (let atMs = firstAtMs; atMs < durationMs; atMs += random.integer(...gapMs)) {
    const kind = random.weighted(weights);
    actions.push({
      atMs,
      kind,
      target: targetOf(kind, options.targets, random),
      ms: durationOf(kind, options.takeOverMs, random),
      size: kind === "truncate" ? random.integer(50, 200_000) : random.integer(0, 99),
    });
  }
  return actions;
}

function targetOf(kind: ActionKind, targets: Targets, random: Random): string {
  const { gateways, gatewayHosts, billings, others, servers, links } = targets;
  switch (kind) {
    case "kill":
      // Kinds first, so that many gateways do not keep the rest from its share.
      return random.pick(
        random.weighted([
          [gateways, 3],
          [billings, 3],
          [servers, 3],
          [others, 1],
        ]),
      );
    case "pause":
      return random.pick(
        random.weighted([
          [gateways, 2],
          [billings, 2],
          [servers, 2],
          [others, 1],
        ]),
      );
    case "kill-host":
      return random.pick(gatewayHosts);
    case "outage":
      return random.pick(servers);
    case "cut":
    case "black-hole":
    case "latency":
    case "truncate":
      return random.pick(links);
    case "gateway-mid-stream":
    case "gateway-before-publish":
    case "spool-full":
      return random.pick(gateways);
    case "billing-after-commit":
    case "commit-unheard":
      return random.pick(billings);
    case "postgres-mid-batch":
      return "postgres";
    case "nats-tail-lost":
    case "nats-leader":
    case "redeliver":
      return "nats";
  }
}

function durationOf(kind: ActionKind, takeOverMs: number, random: Random): number {
  const long = random.chance(0.2);
  switch (kind) {
    case "pause":
      return long ? takeOverMs + random.integer(500, 2_500) : random.integer(100, 1_500);
    case "cut":
    case "outage":
      return random.integer(200, 3_000);
    case "black-hole":
      return long ? random.integer(5_000, 9_000) : random.integer(300, 3_000);
    case "latency":
      return random.integer(1_000, 4_000);
    case "spool-full":
      return random.integer(1_500, 4_000);
    default:
      return random.integer(300, 1_500);
  }
}
