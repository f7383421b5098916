import { cpuSecondsWithChildren } from "../../bench-ledger/src/process-usage.ts";
import type { System } from "./system.ts";

/** CPU of everything that works behind the gateway: seconds, by process. */
export function backendSeconds(system: System): ReadonlyMap<string, number> {
  const { servers, backends } = system;
  const pids = {
    billing: backends.billing.pid,
    "key-registry": backends["key-registry"].pid,
    postgres: servers.postgres.pid,
    nats: servers.nats.pid,
    redis: servers.redis.pid,
  };
  return new Map(
    Object.entries(pids).map(([name, pid]) => [name, pid === undefined ? 0 : cpuSecondsWithChildren(pid)] as const),
  );
}

/** "billing 80, postgres 120, …": microseconds a request between two looks. Billing may still work some of it off afterwards. */
export function backendText(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  requests: number,
): string {
  return [...after]
    .map(([name, seconds]) => `${name} ${(((seconds - (before.get(name) ?? 0)) * 1e6) / requests).toFixed(0)}`)
    .join(", ");
}
