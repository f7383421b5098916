import type { Weights } from "./schedule.ts";
import type { WorldOptions } from "./world.ts";

/** What may be run by name. Each is the same load and the same comparison; what happens meanwhile differs. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  /** What is done, and how often beside the rest. */
  readonly weights: Weights;
  /** Between the beginnings of two actions, milliseconds. */
  readonly gapMs: readonly [number, number];
  readonly world?: Partial<Pick<WorldOptions, "cluster" | "clockSkewMs" | "smallDiskBytes" | "spoolBytesMax">>;
  /** No schedule: two gateways race for the last money of an account. */
  readonly race?: true | "far";
}

const hourMs = 3_600_000;

const everything: Weights = [
  ["kill", 30],
  ["kill-host", 2],
  ["pause", 12],
  ["outage", 4],
  ["cut", 10],
  ["black-hole", 8],
  ["latency", 6],
  ["truncate", 6],
  ["nats-tail-lost", 3],
  ["postgres-mid-batch", 3],
  ["billing-after-commit", 4],
  ["commit-unheard", 3],
  ["gateway-mid-stream", 4],
  ["gateway-before-publish", 4],
  ["redeliver", 6],
  ["spool-full", 2],
];

function only(name: Scenario["name"], description: string, weights: Weights, more: Partial<Scenario> = {}): Scenario {
  return { name, description, weights, gapMs: [3_000, 6_000], ...more };
}

/** Room for the spool's segments of a short outage, small enough to be filled in no time. */
const smallDiskBytes = 67_108_864;

export const scenarios: readonly Scenario[] = [
  only("random", "everything below (but the races, cluster and clock-skew), whatever the seed says", everything, {
    gapMs: [400, 4_000],
    world: { smallDiskBytes },
  }),
  only(
    "kill",
    "kill -9 of one process at a time, with time to recover: what the recovery times are read from",
    [["kill", 1]],
    {
      gapMs: [6_000, 8_000],
    },
  ),
  only("nats-tail-lost", "NATS comes back without what it had acknowledged last", [["nats-tail-lost", 1]], {
    gapMs: [8_000, 12_000],
  }),
  only("postgres-mid-batch", "Postgres is killed while a batch is being applied", [["postgres-mid-batch", 1]]),
  only("billing-after-commit", "billing is killed between commit and ack, or never hears of its commit", [
    ["billing-after-commit", 2],
    ["commit-unheard", 1],
  ]),
  only("gateway-mid-stream", "a gateway is killed while it streams", [["gateway-mid-stream", 1]]),
  only("gateway-before-publish", "a gateway is killed with answers in its spool that NATS never got", [
    ["gateway-before-publish", 1],
  ]),
  only("redelivery", "old envelopes come again, shuffled, under new ids", [["redeliver", 1]], { gapMs: [500, 1_500] }),
  only("spool-full", "the disk of a spool has no byte left", [["spool-full", 1]], { world: { smallDiskBytes } }),
  only("sigstop", "processes stand still, some longer than the ack wait", [["pause", 1]]),
  only("cables", "connections are cut, black-holed, delayed and truncated", [
    ["cut", 1],
    ["black-hole", 1],
    ["latency", 1],
    ["truncate", 1],
  ]),
  only(
    "cluster",
    "three NATS servers with three copies of everything; the leader of the usage stream is killed",
    [["nats-leader", 1]],
    {
      gapMs: [8_000, 12_000],
      world: { cluster: true },
    },
  ),
  only(
    "clock-skew",
    "the services' wall clocks are up to an hour off, each another way, and processes are killed",
    [["kill", 1]],
    {
      world: { clockSkewMs: (name) => skews[name.split(".")[0] ?? ""] ?? 0 },
    },
  ),
  only("race", "two gateways race 500 requests for money that is enough for exactly three", [], { race: true }),
  only("race-far", "the same after idle money was needed of a gateway that hears from NATS 150 ms late", [], {
    race: "far",
  }),
];

const skews: Readonly<Record<string, number>> = {
  "gateway-1": hourMs,
  "gateway-2": -hourMs,
  "billing-1": -hourMs,
  "billing-2": hourMs / 2,
  "key-registry": hourMs,
};

export function scenarioNamed(name: string): Scenario | undefined {
  return scenarios.find((scenario) => scenario.name === name);
}
