import { growth } from "../../bench-ledger/src/growth.ts";
import { judge } from "../../bench-ledger/src/target.ts";
import { backendSeconds, backendText } from "./backends.ts";
import { compareModerate, compareSaturated, type Verdict } from "./compare.ts";
import { pin } from "./cores.ts";
import { direct, startHops } from "./hops.ts";
import { bodies, loads, type Load } from "./loads.ts";
import { measure, type Measure } from "./measure.ts";
import type { Bench } from "./bench.ts";
import { tableOf } from "./table.ts";
import type { Target } from "./target.ts";

/** Until the code is compiled: the slowest hop has answered thousands of times by then. */
const warmUpMs = { saturated: 6_000, moderate: 2_000 } as const;
const slowStreams = 2_000;
const rssMaxMb = 400;
const stalledReaders = 50;
/** Of each of its cores: a hop with less to do was not at its limit. */
const busyMin = 0.85;
/** A peer that cannot do the common rate is asked for this share of what it can. */
const ownShare = 0.5;

/** One worker each, as much as goes and at half of what ours can; two workers, as much as goes. */
export async function speed(bench: Bench): Promise<void> {
  const { options, place, system, cores } = bench;
  const chosen = loads.filter(({ name }) => options.wants(name));
  if (chosen.length > 0) {
    const hops = await startHops(place, system, cores, { workers: 1, traced: options.wants("traced") });
    try {
      for (const load of chosen) await oneWorker(bench, load, [direct(place), ...hops]);
    } finally {
      await stopAll(hops);
    }
  }
  if (!options.wants("workers")) return;
  const hops = await startHops(place, system, cores, { workers: 2, traced: false });
  try {
    for (const load of loads.filter(({ name }) => name !== "paced")) {
      bench.say(`\n${load.text}, two workers each, as much as goes:`);
      await saturate(bench, load, [direct(place), ...hops], 2);
    }
  } finally {
    await stopAll(hops);
  }
}

async function oneWorker(bench: Bench, load: Load, targets: readonly Target[]): Promise<void> {
  bench.say(`\n${load.text}, one worker each${load.name === "paced" ? "" : ", as much as goes"}:`);
  const saturated = await saturate(bench, load, targets, 1);
  bench.verdicts(compareSaturated(load.name, saturated));
  const ours = saturated.find(({ target }) => target === "ours");
  if (load.name === "paced" || ours === undefined) return;
  const rate = ours.perSecond * ownShare;
  bench.say(`\n${load.text}, one worker each, at ${rate.toFixed(0)} a second (half of what ours can):`);
  const measures: Measure[] = [];
  for (const target of targets) {
    const own = (saturated.find((one) => one.target === target.name)?.perSecond ?? rate) * ownShare;
    measures.push(await run(bench, load, target, Math.min(rate, own)));
  }
  bench.table(load.name, "moderate", measures, tableOf(measures));
  bench.verdicts(compareModerate(measures));
}

async function saturate(
  bench: Bench,
  load: Load,
  targets: readonly Target[],
  workers: number,
): Promise<readonly Measure[]> {
  const measures: Measure[] = [];
  const notes: string[] = [];
  for (const target of targets) {
    const before = backendSeconds(bench.system);
    const one = await run(bench, load, target);
    measures.push(one);
    if (target.name !== "ours") continue;
    notes.push(`behind ours, CPU µs a request: ${backendText(before, backendSeconds(bench.system), one.result.whole)}`);
  }
  for (const one of measures.filter(({ target, load: core }) => target !== "direct" && core < busyMin * workers)) {
    if (load.name !== "paced")
      notes.push(
        `${one.target} had only ${one.load.toFixed(2)} of its ${String(workers)} core(s) to do: not its limit`,
      );
  }
  bench.table(load.name, "saturated", measures, [...tableOf(measures), ...notes]);
  return measures;
}

async function run(bench: Bench, load: Load, target: Target, perSecond?: number): Promise<Measure> {
  const one = await measure(target, {
    body: load.body,
    connections: load.connections,
    ...(perSecond === undefined ? {} : { perSecond }),
    warmUpMs: perSecond === undefined ? warmUpMs.saturated : warmUpMs.moderate,
    seconds: bench.options.seconds,
    stall: false,
    cut: false,
  });
  bench.count(target, one);
  return one;
}

/** 2,000 slow streams at a time, then readers that stall, each on a gateway that has done nothing before. */
export async function memory(bench: Bench): Promise<void> {
  if (bench.options.wants("memory")) await slowStreamsHeld(bench);
  if (bench.options.wants("stalled")) await stalled(bench);
}

async function slowStreamsHeld(bench: Bench): Promise<void> {
  const one = await fresh(bench, (target) =>
    measure(target, {
      body: bodies.slow,
      connections: slowStreams,
      warmUpMs: 8_000,
      seconds: bench.options.seconds,
      stall: false,
      cut: true,
    }),
  );
  const [peak, atOnce] = [Math.max(...one.rssOverTime), one.result.streamingMax];
  bench.say(
    `\n${String(slowStreams)} slow streams at a time: ${String(atOnce)} ran at once, RSS at most ${peak.toFixed(0)} MB`,
  );
  bench.verdicts([
    verdict("streams at once", atOnce, { what: "streams", bound: slowStreams, is: "at least" }),
    verdict("resident memory", peak, { what: "MB", bound: rssMaxMb, is: "at most" }),
  ]);
}

async function stalled(bench: Bench): Promise<void> {
  const one = await fresh(bench, (target) =>
    measure(target, {
      body: bodies.flood,
      connections: stalledReaders,
      warmUpMs: 1_000,
      seconds: Math.max(bench.options.seconds, 8),
      stall: true,
      cut: true,
    }),
  );
  const grown = growth(one.rssOverTime);
  const rss = one.rssOverTime.map((mb) => mb.toFixed(0)).join(" ");
  bench.say(
    `\n${String(stalledReaders)} readers that take the beginning of an endless stream and no more: RSS ${rss} MB`,
  );
  bench.verdicts([verdict("memory, second half to first", grown, { what: "×", bound: 1.1, is: "at most" })]);
}

function verdict(what: string, value: number, bound: Parameters<typeof judge>[1]): Verdict {
  return { what, value, ...judge(value, bound) };
}

async function fresh(bench: Bench, work: (target: Target) => Promise<Measure>): Promise<Measure> {
  const target = await bench.system.startGateways(1);
  try {
    for (const pid of target.pids()) pin(pid, bench.cores.tested(1));
    const one = await work(target);
    bench.count(target, one);
    return one;
  } finally {
    await target.stop();
  }
}

async function stopAll(hops: readonly Target[]): Promise<void> {
  for (const hop of hops) await hop.stop();
}
