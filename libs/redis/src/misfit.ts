import type { Logger } from "@codex/runtime";
import type { RedisMode } from "./settings.ts";

/** What an error says about the setting itself, which no waiting heals; undefined: nothing. */
export function redisMisfit(mode: RedisMode, error: unknown): string | undefined {
  const text = textsOf(error).join("; ");
  if (mode !== "cluster" && /\b(?:MOVED|CROSSSLOT|CLUSTERDOWN)\b/.test(text)) {
    return `REDIS_MODE=${mode}, but this Redis is a node of a cluster: set REDIS_MODE=cluster`;
  }
  if (mode === "cluster" && /cluster support disabled/i.test(text)) {
    return "REDIS_MODE=cluster, but this Redis is no cluster: set REDIS_MODE=single";
  }
  if (mode === "sentinel" && /unknown command|No such master|All sentinels are unreachable/i.test(text)) {
    return "REDIS_MODE=sentinel, but no sentinel of REDIS_URL knows the master of REDIS_SENTINEL_MASTER";
  }
  return undefined;
}

/** ioredis hides what a node said behind "Failed to refresh slots cache". */
function textsOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)];
  const inner = (error as { readonly lastNodeError?: unknown }).lastNodeError ?? error.cause;
  return [error.message, ...(inner === undefined ? [] : textsOf(inner))];
}

/** Redis of another kind than the settings say is an outage that no waiting ends: told once. `consequence` is what it means here. */
export function misfitTeller(
  mode: RedisMode,
  logger: Pick<Logger, "error">,
  consequence: string,
): (error: unknown) => void {
  let told: string | undefined;
  return (error) => {
    const misfit = redisMisfit(mode, error);
    if (misfit === undefined || misfit === told) return;
    told = misfit;
    logger.error(`${consequence}, because the settings do not fit the Redis`, { error: new Error(misfit) });
  };
}
