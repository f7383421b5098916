import { AppError } from "@codex/kernel";
import type { Redis } from "ioredis";
import { createHmac } from "node:crypto";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from "rate-limiter-flexible";
import type { SignInThrottle } from "../app/ports.ts";

/**
 * Failed sign-ins, per account and address and per address alone, in Redis so that all replicas count together; while
 * Redis is away this process counts alone. Keys are HMACs: neither addresses nor e-mails are stored (privacy inventory).
 * rate-limiter-flexible 11.4 (ISC, 2026-11): Redis scripts and the insurance limiter are what we would write ourselves.
 */

const minuteSeconds = 60;
const perAccount = { points: 5, duration: 15 * minuteSeconds };
const perAddress = { points: 100, duration: 60 * minuteSeconds };

export function redisThrottle(redis: Redis, keySecret: string): SignInThrottle {
  const limiter = (
    keyPrefix: string,
    { points, duration }: { points: number; duration: number },
  ): RateLimiterAbstract =>
    new RateLimiterRedis({
      storeClient: redis,
      keyPrefix,
      points,
      duration,
      insuranceLimiter: new RateLimiterMemory({ keyPrefix, points, duration }),
    });
  const account = limiter("auth:fail:account", perAccount);
  const address = limiter("auth:fail:address", perAddress);
  const keyed = (...parts: string[]): string =>
    createHmac("sha256", keySecret).update(parts.join("\u0000")).digest("base64url");
  const keys = (email: string, clientIp: string): readonly [string, string] => [
    keyed("account", email, clientIp),
    keyed("address", clientIp),
  ];
  return {
    async admit(email, clientIp) {
      const [accountKey, addressKey] = keys(email, clientIp);
      // One after the other: what the account's limit refuses must not use up the limit of a shared address.
      await take(account, accountKey);
      await take(address, addressKey);
    },
    async succeeded(email, clientIp) {
      const [accountKey, addressKey] = keys(email, clientIp);
      await Promise.all([account.delete(accountKey), address.reward(addressKey)]);
    },
    async unjudged(email, clientIp) {
      const [accountKey, addressKey] = keys(email, clientIp);
      await Promise.all([account.reward(accountKey), address.reward(addressKey)]);
    },
  };
}

async function take(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (rejected) {
    if (!(rejected instanceof RateLimiterRes)) throw rejected;
    const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
    throw new AppError({
      kind: "rate_limited",
      code: "too_many_attempts",
      publicMessage: `Too many failed attempts. Try again in ${seconds} s.`,
      retryAfterSeconds: seconds,
    });
  }
}
