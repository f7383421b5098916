import { testInfra } from "@codex/testkit";
import { Redis } from "ioredis";
import { createHmac } from "node:crypto";
import { secrets } from "./_util.ts";

/** Redis is shared by all suites, so only the counts of one account are touched, by the keys that auth gives them. */
const keyOf = (...parts: readonly string[]): string =>
  `auth:fail:${createHmac("sha256", secrets["AUTH_THROTTLE_KEY"] ?? "")
    .update(parts.join("\u0000"))
    .digest("base64url")}`;

async function withRedis(work: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis(testInfra().redisUrl, { maxRetriesPerRequest: 1 });
  try {
    await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** As if so many sign-ins in a row had failed for this address; by the rule they would take hours. */
export function setFailures(email: string, count: number): Promise<void> {
  return withRedis((redis) => redis.hset(keyOf("account", email), "count", String(count), "notBefore", "0"));
}

/** As if a long time had passed since the last wrong second factor of the account. */
export function forgetFactorFailures(accountId: string): Promise<void> {
  return withRedis((redis) => redis.del(keyOf("factor", accountId)));
}
