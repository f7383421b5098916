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
    async check(email, clientIp) {
      const [accountKey, addressKey] = keys(email, clientIp);
      const [onAccount, onAddress] = await Promise.all([account.get(accountKey), address.get(addressKey)]);
      refuseAbove(onAccount, perAccount.points);
      refuseAbove(onAddress, perAddress.points);
    },
    async failed(email, clientIp) {
      const [accountKey, addressKey] = keys(email, clientIp);
      await Promise.all([count(account, accountKey), count(address, addressKey)]);
    },
    async succeeded(email, clientIp) {
      await account.delete(keys(email, clientIp)[0]);
    },
  };
}

/** Going over the limit rejects with the state; it is the next check that refuses. */
async function count(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (rejected) {
    if (!(rejected instanceof RateLimiterRes)) throw rejected;
  }
}

function refuseAbove(state: RateLimiterRes | null, points: number): void {
  if (!state || state.consumedPoints < points) return;
  const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1_000));
  throw new AppError({
    kind: "rate_limited",
    code: "too_many_attempts",
    publicMessage: `Too many failed attempts. Try again in ${seconds} s.`,
    retryAfterSeconds: seconds,
  });
}
