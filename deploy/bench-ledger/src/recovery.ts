import { startBilling, type BillingProcess } from "./billing-process.ts";
import type { BenchSender } from "./sender.ts";
import type { BenchWorld } from "./world.ts";

const records = 2_000;
const timeoutMs = 120_000;

export type Victim = "billing" | "nats" | "postgres";

/**
 * Seconds from a kill -9, with usage on its way, until all that was sent before it and after it is committed; the victim is
 * started again at once. Answers the billing that runs afterwards.
 */
export async function recovery(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  victim: Victim,
): Promise<{ readonly seconds: number; readonly billing: BillingProcess }> {
  await sender.send(records);
  await (victim === "billing" ? billing.kill() : world.servers[victim].kill());
  const from = performance.now();
  const sending = sender.send(records);
  const next = victim === "billing" ? await startBilling(world) : billing;
  if (victim !== "billing") await world.servers[victim].start();
  await sending;
  await sender.drained(timeoutMs);
  return { seconds: (performance.now() - from) / 1_000, billing: next };
}
