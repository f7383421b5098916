import { bodies } from "./loads.ts";
import { measure } from "./measure.ts";
import { costByPart, type PartCost } from "./parts.ts";
import { pin } from "./cores.ts";
import { startFloor } from "./floor-target.ts";
import { startProfiler } from "./profile.ts";
import type { Bench } from "./bench.ts";
import type { Target } from "./target.ts";

/** Until the code is compiled. */
const warmUpMs = 6_000;
const connections = 64;

/**
 * Where the difference to the floor goes: a CPU profile of each under the same load. The profiler itself costs a part of what it
 * shows, so each part is told as its share of the CPU that the process had without it.
 */
export async function explain(bench: Bench): Promise<void> {
  const { options, place, system, cores } = bench;
  if (!options.wants("profile")) return;
  for (const load of ["json", "sse"] as const) {
    const costs = new Map<string, readonly PartCost[]>();
    for (const start of [
      () => startFloor(place, 1),
      () => system.startGateways(1, { name: "ours", fromSources: true }),
    ]) {
      const target = await start();
      for (const pid of target.pids()) pin(pid, cores.tested(1));
      try {
        costs.set(target.name, await profiled(bench, target, load));
      } finally {
        await target.stop();
      }
    }
    say(bench, load, costs);
  }
}

async function profiled(bench: Bench, target: Target, load: "json" | "sse"): Promise<readonly PartCost[]> {
  const spec = { body: bodies[load], connections, stall: false, cut: false, seconds: bench.options.seconds };
  const plain = await measure(target, { ...spec, warmUpMs });
  bench.count(target, plain);
  const [pid = 0] = target.pids();
  const profiler = await startProfiler(pid);
  const one = await measure(target, { ...spec, warmUpMs: 0 });
  bench.count(target, one);
  const costs = costByPart(await profiler.stop(), one.result.completed);
  const sum = costs.reduce((total, { micros }) => total + micros, 0);
  return costs.map(({ part, micros }) => ({ part, micros: (micros / sum) * plain.cpuMicros }));
}

function say(bench: Bench, load: string, costs: ReadonlyMap<string, readonly PartCost[]>): void {
  const [floor = [], ours = []] = [costs.get("floor"), costs.get("ours")];
  const of = (list: readonly PartCost[], part: string): number => list.find((one) => one.part === part)?.micros ?? 0;
  const rows = [...new Set([...ours, ...floor].map(({ part }) => part))]
    .map((part) => ({ part, ours: of(ours, part), floor: of(floor, part) }))
    .toSorted((a, b) => b.ours - b.floor - (a.ours - a.floor));
  const total = (which: "ours" | "floor"): number => rows.reduce((sum, row) => sum + row[which], 0);
  bench.say(`\nwhere the CPU of a request goes, ${load}, µs (a profile, scaled to the CPU without it):`);
  bench.say("| part | ours | floor | difference |");
  bench.say("| --- | --- | --- | --- |");
  for (const { part, ours: own, floor: least } of [
    ...rows,
    { part: "together", ours: total("ours"), floor: total("floor") },
  ])
    bench.say(`| ${part} | ${own.toFixed(0)} | ${least.toFixed(0)} | ${(own - least).toFixed(0)} |`);
}
