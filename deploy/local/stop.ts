import { rmSync } from "node:fs";
import { lockOwner } from "./lock.ts";
import { stopLeftovers, stopRecorded } from "./owned-processes.ts";
import type { Paths } from "./paths.ts";

/** Longer than everything that the supervisor itself allows for an orderly stop. */
const stopTimeoutMs = 90_000;

/** Stops the running system and whatever an earlier one left behind. Idempotent; returns the exit code. */
export async function stop(paths: Paths): Promise<number> {
  const owner = lockOwner(paths.lock);
  if (owner !== undefined) {
    process.stdout.write("  stopping …\n");
    await stopRecorded({ ...owner, name: "the supervisor" }, "SIGTERM", stopTimeoutMs);
  }
  const leftovers = await stopLeftovers(paths);
  if (lockOwner(paths.lock) === undefined) {
    for (const file of [paths.lock, paths.supervisorState]) rmSync(file, { force: true });
  }
  const more =
    leftovers.length === 0 ? "" : ` Also stopped what an earlier run had left behind: ${leftovers.join(", ")}.`;
  const nothing = owner === undefined && leftovers.length === 0;
  process.stdout.write(nothing ? "Nothing was running.\n" : `Stopped; the data stays in .codex/data.${more}\n`);
  return 0;
}
