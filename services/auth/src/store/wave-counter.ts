import type { Clock } from "@codex/kernel";
import type { Cluster, Redis } from "@codex/redis";
import type { WaveCounter } from "../app/failure-alarm.ts";
import { waveWindowMinutes, windowMinutes } from "../domain/failure-wave.ts";

const countScript = `
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
local sum = 0
for _, count in ipairs(redis.call('MGET', unpack(KEYS))) do sum = sum + tonumber(count or '0') end
return sum`;

/** Of all replicas together. The braces keep the minutes on one node of a cluster. */
export function redisWaveCounter(redis: Redis | Cluster, clock: Clock, keyPrefix = "auth:{wave}:"): WaveCounter {
  return {
    async failed() {
      const keys = windowMinutes(clock.now().getTime()).map((minute) => `${keyPrefix}${String(minute)}`);
      const seconds = String((waveWindowMinutes + 1) * 60);
      return Number(await redis.eval(countScript, keys.length, ...keys, seconds));
    },
  };
}

/** This process alone: while Redis is away. */
export function memoryWaveCounter(clock: Clock): WaveCounter {
  let counts = new Map<number, number>();
  return {
    failed() {
      const minutes = windowMinutes(clock.now().getTime());
      const [present = 0] = minutes;
      counts = new Map(minutes.map((minute) => [minute, (counts.get(minute) ?? 0) + (minute === present ? 1 : 0)]));
      return Promise.resolve([...counts.values()].reduce((sum, count) => sum + count, 0));
    },
  };
}

/** The second takes over for each call that the first fails. */
export function eitherWaveCounter(first: WaveCounter, second: WaveCounter): WaveCounter {
  return { failed: () => first.failed().catch(() => second.failed()) };
}
