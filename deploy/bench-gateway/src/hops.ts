import { pin, type Cores } from "./cores.ts";
import { startFloor } from "./floor-target.ts";
import { startNginx } from "./nginx.ts";
import type { BenchPlace } from "./place.ts";
import { startPortkey } from "./portkey.ts";
import type { System } from "./system.ts";
import { targetOf, type Target } from "./target.ts";

/** The upstream itself, asked without a hop. */
export function direct(place: BenchPlace): Target {
  const url = `http://127.0.0.1:${String(place.upstreamPort)}`;
  return { ...targetOf("direct", []), urls: [url] };
}

/** Every hop with so many workers, each on the cores of the tested one; ours last. Whoever cannot be had is left out by a line. */
export async function startHops(
  place: BenchPlace,
  system: System,
  cores: Cores,
  options: { readonly workers: number; readonly traced: boolean },
): Promise<readonly Target[]> {
  const { workers } = options;
  const started: Target[] = [];
  try {
    for (const start of [
      () => startNginx(place, workers),
      () => startFloor(place, workers),
      () => startPortkey(place, workers),
      () => system.startGateways(workers),
      ...(options.traced ? [() => tracedGateways(place, system, workers)] : []),
    ]) {
      const target = await start();
      if (target === undefined) {
        place.log("a hop is left out: its program is not on this machine and could not be fetched (README)");
        continue;
      }
      for (const pid of target.pids()) pin(pid, cores.tested(workers));
      started.push(target);
    }
    return started;
  } catch (error) {
    await Promise.all(started.map((target) => target.stop()));
    throw error;
  }
}

/** With a collector: the upstream takes the spans as it takes everything. */
function tracedGateways(place: BenchPlace, system: System, workers: number): Promise<Target> {
  return system.startGateways(workers, {
    name: "ours, traced",
    otlpUrl: `http://127.0.0.1:${String(place.upstreamPort)}`,
  });
}
