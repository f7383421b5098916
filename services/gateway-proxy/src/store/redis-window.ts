import type { Redis } from "ioredis";
import { windowMs, type WindowCount } from "../app/request-limiter.ts";

/** One script, one round trip: count, and start the window with its first request. */
const script = `
local used = redis.call('INCR', KEYS[1])
local rest = redis.call('PTTL', KEYS[1])
if rest < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  rest = tonumber(ARGV[1])
end
return {used, rest}`;

/** Counter of a key's minute in Redis under `gw:rpm:<keyId>`. Rejects after the client's command timeout. */
export function redisWindow(redis: Redis): (keyId: string) => Promise<WindowCount> {
  return async (keyId) => {
    const answer: unknown = await redis.eval(script, 1, `gw:rpm:${keyId}`, windowMs);
    if (!Array.isArray(answer)) throw new Error("unexpected answer of the rate script");
    const [used, resetMs] = answer as unknown[];
    if (typeof used !== "number" || typeof resetMs !== "number")
      throw new Error("unexpected answer of the rate script");
    return { used, resetMs };
  };
}
