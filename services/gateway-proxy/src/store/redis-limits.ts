import type { RequestId } from "@codex/kernel";
import type { LimitStore } from "../app/request-limiter.ts";
import type { Demand, LimitAnswer, Limited, LimitRefusal } from "../domain/limits.ts";
import { levelMaxMs, periodMs } from "../domain/rate.ts";
import { RedisScript } from "./redis-script.ts";
import type { RedisTurns } from "./redis-turns.ts";

/**
 * Limits in Redis. All keys of an account have it as their hash tag, so that one script may touch them on Redis Cluster:
 *
 *   gw:lim:{acc_…}            hash: `r`, `t` of the account, `r:key_…`, `t:key_…` of its keys: the moment at which the bucket of
 *                             requests or tokens will be empty, in microseconds since 1970 by Redis's clock
 *   gw:lim:{acc_…}:run        sorted set: running requests of the account by the moment at which their lease lapses
 *   gw:lim:{acc_…}:run:key_…  the same of a key
 *   gw:lim:workers            sorted set: gateways by the moment at which they are no longer believed to live
 *
 * Redis's clock alone decides, so gateways need not agree on the time. Rejects when Redis does not answer in time.
 */

const periodMicros = periodMs * 1_000;
const levelMaxMicros = levelMaxMs * 1_000;
/** A bucket is empty by then. */
const bucketsTtlMs = levelMaxMs + periodMs;

const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
`;

/**
 * KEYS: buckets, running of the account, running of the key. ARGV: key id, request id or '' for no slot, lease in ms, tokens, then
 * requests, tokens and slots of the key, and of the account. Answers who refused (0: nobody; 1 requests and 2 tokens of the key,
 * 3 and 4 of the account, 5 slots of the key, 6 of the account), the wait and the four levels, in microseconds.
 */
const take = new RedisScript(`${clock}
local id, request, lease, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local fields = {'r:' .. id, 't:' .. id, 'r', 't'}
local limits = {tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8]), tonumber(ARGV[9])}
local costs = {1, tokens, 1, tokens}
local stored = redis.call('HMGET', KEYS[1], unpack(fields))
local levels, after = {}, {}
local refusedBy, wait = 0, 0
for i = 1, 4 do
  levels[i] = math.max(0, (tonumber(stored[i]) or 0) - now)
  after[i] = levels[i]
  if costs[i] > 0 then
    after[i] = levels[i] + math.floor(math.min(costs[i], limits[i]) * ${String(periodMicros)} / limits[i])
    local over = after[i] - ${String(periodMicros)}
    if over > wait then refusedBy, wait = i, over end
  end
end
if refusedBy == 0 and request ~= '' then
  local slots = {tonumber(ARGV[10]), tonumber(ARGV[7])}
  for i = 2, 1, -1 do
    if refusedBy == 0 and redis.call('ZCARD', KEYS[1 + i]) >= slots[i] then
      -- Leases that have lapsed matter here alone.
      redis.call('ZREMRANGEBYSCORE', KEYS[1 + i], '-inf', text(now))
      if redis.call('ZCARD', KEYS[1 + i]) >= slots[i] then refusedBy = 7 - i end
    end
  end
end
if refusedBy > 0 then return {refusedBy, wait, unpack(levels)} end
local changes = {}
for i = 1, 4 do
  if costs[i] > 0 then
    changes[#changes + 1] = fields[i]
    changes[#changes + 1] = text(now + after[i])
  end
end
redis.call('HSET', KEYS[1], unpack(changes))
redis.call('PEXPIRE', KEYS[1], ${String(bucketsTtlMs)})
if request ~= '' then
  for i = 2, 3 do
    redis.call('ZADD', KEYS[i], text(now + lease * 1000), request)
    redis.call('PEXPIRE', KEYS[i], lease)
  end
end
return {0, 0, unpack(after)}`);

/** KEYS as above. ARGV: key id, request id, change of the key's level of tokens and of the account's, in microseconds. */
const end = new RedisScript(`${clock}
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
local fields = {'t:' .. ARGV[1], 't'}
local stored = redis.call('HMGET', KEYS[1], unpack(fields))
local changes = {}
for i = 1, 2 do
  local change = tonumber(ARGV[2 + i])
  if change ~= 0 then
    local level = math.max(0, (tonumber(stored[i]) or 0) - now) + change
    changes[#changes + 1] = fields[i]
    changes[#changes + 1] = text(now + math.min(${String(levelMaxMicros)}, math.max(0, level)))
  end
end
if #changes > 0 then
  redis.call('HSET', KEYS[1], unpack(changes))
  redis.call('PEXPIRE', KEYS[1], ${String(bucketsTtlMs)})
end
return 0`);

/** KEYS: running of the account and of the key. ARGV: lease in ms, request ids. What Redis has lost is there again. */
const renew = new RedisScript(`${clock}
local lapses = text(now + ARGV[1] * 1000)
for i = 1, 2 do
  for j = 2, #ARGV do redis.call('ZADD', KEYS[i], lapses, ARGV[j]) end
  redis.call('PEXPIRE', KEYS[i], ARGV[1])
end
return 0`);

/** KEYS: workers. ARGV: time to live in ms, this worker. */
const beat = new RedisScript(`${clock}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
redis.call('ZADD', KEYS[1], text(now + ARGV[1] * 1000), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])`);

const renewedAtOnce = 500;

export interface RedisLimitsOptions {
  readonly workerId: string;
  /** How long a slot is kept for a worker that says nothing. */
  readonly leaseMs: number;
}

export function redisLimits(turns: RedisTurns, { workerId, leaseMs }: RedisLimitsOptions): LimitStore {
  return {
    async take(of, demand) {
      try {
        return readAnswer(await take.run(turns, keysOf(of), argumentsOf(of, demand, leaseMs)));
      } catch (error) {
        // It may have come too late and not in vain: the slot must not wait for its lease to lapse.
        if (demand.slot) forget(end.runSoon(turns, keysOf(of), [of.keyId, demand.requestId, 0, 0]));
        throw error;
      }
    },
    end(of, requestId, { key, account }) {
      forget(
        end.runSoon(turns, keysOf(of), [of.keyId, requestId, Math.round(key * 1_000), Math.round(account * 1_000)]),
      );
    },
    async renew(running) {
      const calls = running.flatMap(({ of, requestIds }) =>
        chunks(requestIds).map((chunk) => renew.run(turns, keysOf(of).slice(1), [leaseMs, ...chunk])),
      );
      await Promise.all(calls);
    },
    async beat() {
      const workers = await beat.run(turns, ["gw:lim:workers"], [leaseMs, workerId]);
      if (typeof workers !== "number") throw new Error("unexpected answer of the beat script");
      return workers;
    },
  };
}

function keysOf({ accountId, keyId }: Limited): readonly [string, string, string] {
  const buckets = `gw:lim:{${accountId}}`;
  return [buckets, `${buckets}:run`, `${buckets}:run:${keyId}`];
}

function argumentsOf({ keyId, limits }: Limited, { requestId, tokens, slot }: Demand, leaseMs: number) {
  const { key, account } = limits;
  return [
    keyId,
    slot ? requestId : "",
    leaseMs,
    tokens,
    key.requestsPerMinute,
    key.tokensPerMinute,
    key.concurrentRequests,
    account.requestsPerMinute,
    account.tokensPerMinute,
    account.concurrentRequests,
  ];
}

const refusers: readonly Pick<LimitRefusal, "scope" | "limit">[] = [
  { scope: "key", limit: "requests" },
  { scope: "key", limit: "tokens" },
  { scope: "account", limit: "requests" },
  { scope: "account", limit: "tokens" },
  { scope: "key", limit: "concurrency" },
  { scope: "account", limit: "concurrency" },
];

function readAnswer(answer: unknown): LimitAnswer {
  if (!Array.isArray(answer) || answer.length !== 6 || !answer.every((part) => typeof part === "number"))
    throw new Error("unexpected answer of the limit script");
  const [refusedBy, wait, ...levels] = answer as [number, number, number, number, number, number];
  const [keyRequests, keyTokens, accountRequests, accountTokens] = levels;
  const refuser = refusers[refusedBy - 1];
  return {
    refusal: refuser && { ...refuser, waitMs: wait / 1_000 },
    levels: {
      key: { requestsMs: keyRequests / 1_000, tokensMs: keyTokens / 1_000 },
      account: { requestsMs: accountRequests / 1_000, tokensMs: accountTokens / 1_000 },
    },
  };
}

function chunks(requestIds: readonly RequestId[]): readonly (readonly RequestId[])[] {
  const parts: RequestId[][] = [];
  for (let at = 0; at < requestIds.length; at += renewedAtOnce) parts.push(requestIds.slice(at, at + renewedAtOnce));
  return parts;
}

function forget(work: Promise<unknown>): void {
  work.catch(() => undefined);
}
