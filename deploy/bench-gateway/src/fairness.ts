import { judge } from "../../bench-ledger/src/target.ts";
import type { Bench } from "./bench.ts";
import { pin } from "./cores.ts";
import { direct } from "./hops.ts";
import { bodies } from "./loads.ts";
import { measure, type Measure } from "./measure.ts";
import type { Target } from "./target.ts";

/**
 * SEC-97: one customer sends fifty times what its limit allows, all the others at an even rate within theirs. Their p99 with the
 * flood beside them, against the one while the same flood goes to the upstream itself, past the gateway.
 */

interface Load {
  readonly perSecond: number;
  readonly connections: number;
}

/** Requests a second that an account may make; the others together make a few times as many. */
const allowed = 20;
const floodFactor = 50;
const eachOfOthers = 15;
const rounds = 3;
const floodLoad: Load = { perSecond: allowed * floodFactor, connections: 200 };
const movedMax = 1.2;
const warmUpMs = 3_000;

export async function fairness(bench: Bench): Promise<void> {
  if (!bench.options.wants("fairness")) return;
  const perMinute = String(allowed * 60);
  const target = await bench.system.startGateways(1, {
    name: "ours",
    env: { GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: perMinute, GATEWAY_REQUESTS_PER_MINUTE: perMinute },
  });
  try {
    for (const pid of target.pids()) pin(pid, bench.cores.tested(1));
    const [abuser, ...others] = target.keys;
    const [flooding, ours] = [keysOnly(target, abuser ?? ""), keysOnly(target, ...others)];
    const load = { perSecond: others.length * eachOfOthers, connections: others.length * 8 };
    const quiet: Measure[] = [];
    const loud: Measure[] = [];
    const flood: Measure[] = [];
    // By turns, so that what the machine does besides falls on both.
    for (let round = 0; round < rounds; round += 1) {
      // The generator of the flood runs in both, and takes as much of the machine.
      const [alone] = await Promise.all([even(bench, ours, load), even(bench, direct(bench.place), floodLoad)]);
      quiet.push(alone);
      const [beside, theirs] = await Promise.all([even(bench, ours, load), even(bench, flooding, floodLoad)]);
      loud.push(beside);
      flood.push(theirs);
    }
    say(bench, quiet, loud, flood);
  } finally {
    await target.stop();
  }
}

function keysOnly(target: Target, ...keys: readonly string[]): Target {
  return { ...target, keys };
}

async function even(bench: Bench, target: Target, load: Load): Promise<Measure> {
  const one = await measure(target, {
    ...load,
    body: bodies.json,
    warmUpMs,
    seconds: bench.options.seconds,
    stall: false,
    cut: false,
  });
  bench.count(target, one);
  return one;
}

function say(bench: Bench, quiet: readonly Measure[], loud: readonly Measure[], flood: readonly Measure[]): void {
  const p99 = (list: readonly Measure[]): string => list.map(({ result }) => result.latency.p99.toFixed(2)).join(" ");
  const refused = sum(flood.map(({ result }) => result.failed["429"] ?? 0));
  const served = sum(flood.map(({ result }) => result.whole));
  const failed = sum([...quiet, ...loud].flatMap(({ result }) => Object.values(result.failed)));
  bench.say(
    `\nfairness: ${String(allowed * floodFactor)} requests a second by one customer, who may make ${String(allowed)}: ` +
      `${String(served)} served, ${String(refused)} refused`,
  );
  bench.say(
    `the others' p99 in ms, with the flood elsewhere ${p99(quiet)}, beside it ${p99(loud)}; refused of theirs: ${String(failed)}`,
  );
  const moved = median(loud) / median(quiet);
  const bound = { what: "×", bound: movedMax, is: "at most" } as const;
  bench.verdicts([{ what: "the others' p99 beside a flood, to one elsewhere", value: moved, ...judge(moved, bound) }]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Of the rounds' p99. */
function median(list: readonly Measure[]): number {
  const sorted = list.map(({ result }) => result.latency.p99).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
