import type { Clock } from "@codex/kernel";
import type { Cluster, Redis } from "@codex/redis";
import { nextAttempt, type FailureCount, type FailureRule, type FailureVerdict } from "../domain/throttle-rules.ts";

/** Failures by key, shared by all replicas. Keys come in as HMACs: no address is stored. */
export interface FailureCounters {
  take(key: string, rule: FailureRule): Promise<FailureVerdict>;
  forget(key: string): Promise<void>;
  /** One failure less: it was none. */
  giveBack(key: string): Promise<void>;
}

/** One step, so that many at once get no more tries than one after the other. Same rule as `nextAttempt`. */
const takeScript = `
local seen = redis.call('HMGET', KEYS[1], 'count', 'notBefore')
local count = tonumber(seen[1] or '0')
local notBefore = tonumber(seen[2] or '0')
local now, free, first, longest, most, forget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if most > 0 and count >= most then return {'stopped', 0} end
if notBefore > now then return {'wait', notBefore - now} end
local beyond = count + 1 - free
local pause = 0
if beyond > 0 then pause = math.min(first * 2 ^ math.min(beyond - 1, 30), longest) end
local till = 0
if pause > 0 then till = now + pause end
redis.call('HSET', KEYS[1], 'count', count + 1, 'notBefore', string.format('%.0f', till))
redis.call('PEXPIRE', KEYS[1], forget)
return {'admitted', count + 1}`;
const giveBackScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'notBefore', '0')
if redis.call('HINCRBY', KEYS[1], 'count', -1) <= 0 then redis.call('DEL', KEYS[1]) end
return 1`;

const keyPrefix = "auth:fail:";

export function redisCounters(redis: Redis | Cluster, clock: Clock): FailureCounters {
  return {
    async take(key, rule) {
      const nowMs = clock.now().getTime();
      const { free, firstWaitMs, waitMaxMs, max, forgetMs } = rule;
      const bounds = [nowMs, free, firstWaitMs, waitMaxMs, max, forgetMs].map(String);
      const [kind, number] = (await redis.eval(takeScript, 1, keyPrefix + key, ...bounds)) as [string, number];
      if (kind === "stopped") return { kind: "stopped" };
      if (kind === "wait") return { kind: "wait", waitMs: number };
      return { kind: "admitted", next: { count: number, notBefore: 0 } };
    },
    async forget(key) {
      await redis.del(keyPrefix + key);
    },
    async giveBack(key) {
      await redis.eval(giveBackScript, 1, keyPrefix + key);
    },
  };
}

/** Beyond it the oldest is forgotten: an attacker must not fill the memory. */
const keysMax = 10_000;

/** This process alone: in tests, and while Redis is away. */
export function memoryCounters(clock: Clock): FailureCounters {
  const counts = new Map<string, FailureCount>();
  return {
    take(key, rule) {
      const verdict = nextAttempt(rule, counts.get(key), clock.now().getTime());
      if (verdict.kind === "admitted") {
        counts.delete(key);
        counts.set(key, verdict.next);
        const [oldest] = counts.keys();
        if (counts.size > keysMax && oldest !== undefined) counts.delete(oldest);
      }
      return Promise.resolve(verdict);
    },
    forget(key) {
      counts.delete(key);
      return Promise.resolve();
    },
    giveBack(key) {
      const known = counts.get(key);
      if (known && known.count > 1) counts.set(key, { count: known.count - 1, notBefore: 0 });
      else counts.delete(key);
      return Promise.resolve();
    },
  };
}

/** The second takes over for each call that the first fails. */
export function withFallback(first: FailureCounters, second: FailureCounters): FailureCounters {
  return {
    take: (key, rule) => first.take(key, rule).catch(() => second.take(key, rule)),
    forget: async (key) => {
      await Promise.all([first.forget(key).catch(() => undefined), second.forget(key)]);
    },
    giveBack: async (key) => {
      await first.giveBack(key).catch(() => second.giveBack(key));
    },
  };
}
