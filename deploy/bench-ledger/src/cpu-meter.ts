import type { BillingProcess } from "./billing-process.ts";
import { cpuSecondsWithChildren } from "./process-usage.ts";
import type { BenchWorld } from "./world.ts";

/** Microseconds of CPU an event, by process. The generator is this one. */
export interface CpuPerEvent {
  readonly billing: number;
  readonly postgres: number;
  readonly nats: number;
  readonly generator: number;
}

type Seconds = Record<keyof CpuPerEvent, number>;

function now(world: BenchWorld, billing: BillingProcess | undefined): Seconds {
  const { user, system } = process.cpuUsage();
  const of = (pid: number | undefined): number => (pid === undefined ? 0 : cpuSecondsWithChildren(pid));
  return {
    billing: of(billing?.pid),
    postgres: of(world.servers.postgres.pid),
    nats: of(world.servers.nats.pid),
    generator: (user + system) / 1e6,
  };
}

/** Starts to count; the answer ends it. No process may be replaced in between. */
export function meterCpu(world: BenchWorld, billing?: BillingProcess): (events: number) => CpuPerEvent {
  const before = now(world, billing);
  return (events) => {
    const after = now(world, billing);
    const each = (name: keyof Seconds): number => ((after[name] - before[name]) * 1e6) / events;
    return {
      billing: each("billing"),
      postgres: each("postgres"),
      nats: each("nats"),
      generator: each("generator"),
    };
  };
}

export function cpuText(cpu: CpuPerEvent): string {
  const all = cpu.billing + cpu.postgres + cpu.nats + cpu.generator;
  const of = (name: keyof CpuPerEvent): string => `${name} ${cpu[name].toFixed(1)}`;
  return `CPU µs an event: ${of("billing")}, ${of("postgres")}, ${of("nats")}, ${of("generator")}, together ${all.toFixed(1)}`;
}
