import { AppError } from "@codex/kernel";
import type { Cluster, Redis } from "@codex/redis";
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from "rate-limiter-flexible";
import type { Attempt, SignInThrottle } from "../app/ports.ts";
import { failureRules, networkOf } from "../domain/throttle-rules.ts";
import type { FailureCounters } from "./failure-counters.ts";

/**
 * SEC-16, in Redis so that all replicas count together; while Redis is away this process counts alone. Keys are HMACs:
 * neither addresses nor e-mails are stored (privacy inventory). rate-limiter-flexible 11.4 (ISC, 2026-11) counts what is a
 * plain number in a window; the exponential rule is our own script.
 */

const hourSeconds = 3_600;
const windows = {
  address: { points: 100, duration: hourSeconds },
  mailOfAddress: { points: 60, duration: hourSeconds },
  mail: { points: 5, duration: hourSeconds },
  anonymous: { points: 1_000, duration: hourSeconds },
} as const;

/** `<id>.<proof>`, both base64url of 16 and 32 bytes. */
const devicePattern = /^([\w-]{22})\.([\w-]{43})$/;

type Limiters = Readonly<Record<keyof typeof windows, RateLimiterAbstract>>;

function limitersOn(redis: Redis | Cluster, mailsPerNetworkPerHour: number): Limiters {
  const limiter = (name: keyof typeof windows): RateLimiterAbstract => {
    const keyPrefix = `auth:window:${name}`;
    const window = name === "mailOfAddress" ? { points: mailsPerNetworkPerHour, duration: hourSeconds } : windows[name];
    const insuranceLimiter = new RateLimiterMemory({ keyPrefix, ...window });
    return new RateLimiterRedis({ storeClient: redis, keyPrefix, ...window, insuranceLimiter });
  };
  return {
    address: limiter("address"),
    mailOfAddress: limiter("mailOfAddress"),
    mail: limiter("mail"),
    anonymous: limiter("anonymous"),
  };
}

/** What is counted under which key. */
function keysBy(keySecret: string) {
  const keyed = (...parts: string[]): string =>
    createHmac("sha256", keySecret).update(parts.join("\u0000")).digest("base64url");
  const proofOf = (email: string, id: string): string => keyed("device", email, id);
  /** The id of a browser that has signed in to this account before. */
  const deviceId = (email: string, device: string | undefined): string | undefined => {
    const [, id, proof] = devicePattern.exec(device ?? "") ?? [];
    if (id === undefined || proof === undefined) return undefined;
    return timingSafeEqual(Buffer.from(proof), Buffer.from(proofOf(email, id))) ? id : undefined;
  };
  const keysOf = ({ email, clientIp }: Attempt) => ({
    account: keyed("account", email),
    both: keyed("account", email, networkOf(clientIp)),
    address: keyed("address", networkOf(clientIp)),
  });
  /** A known browser counts by itself, until it has failed too often to be believed. */
  const deviceKey = ({ email, device }: Attempt): string | undefined => {
    const id = deviceId(email, device);
    return id === undefined ? undefined : keyed("known", email, id);
  };
  return { keyed, keysOf, deviceKey, deviceId, proofOf };
}

export interface ThrottleOptions {
  readonly keySecret: string;
  readonly mailsPerNetworkPerHour: number;
}

export function signInThrottle(
  redis: Redis | Cluster,
  counters: FailureCounters,
  { keySecret, mailsPerNetworkPerHour }: ThrottleOptions,
): SignInThrottle {
  const limiters = limitersOn(redis, mailsPerNetworkPerHour);
  const { keyed, keysOf, deviceKey, deviceId, proofOf } = keysBy(keySecret);
  const admitStranger = async (attempt: Attempt): Promise<void> => {
    const keys = keysOf(attempt);
    // One after the other, the narrowest first: what one refuses must not use up another's room.
    assertAdmitted(await counters.take(keys.both, failureRules.accountAndAddress));
    const verdict = await counters.take(keys.account, failureRules.account);
    if (verdict.kind !== "admitted") await counters.giveBack(keys.both);
    assertAdmitted(verdict);
    await consume(limiters.address, keys.address);
  };
  return {
    async admit(attempt) {
      const known = deviceKey(attempt);
      const verdict = known === undefined ? undefined : await counters.take(known, failureRules.device);
      if (verdict === undefined || verdict.kind === "stopped") await admitStranger(attempt);
      else assertAdmitted(verdict);
    },
    async succeeded(attempt) {
      const known = deviceKey(attempt);
      if (known !== undefined) await counters.forget(known);
      const keys = keysOf(attempt);
      // A known browser was not counted under the account, so its success says nothing about the others' failures.
      if (known === undefined) {
        await Promise.all([
          counters.forget(keys.both),
          counters.forget(keys.account),
          reward(limiters.address, keys.address),
        ]);
      }
    },
    async unjudged(attempt) {
      const known = deviceKey(attempt);
      if (known !== undefined) return counters.giveBack(known);
      const keys = keysOf(attempt);
      await Promise.all([
        counters.giveBack(keys.both),
        counters.giveBack(keys.account),
        reward(limiters.address, keys.address),
      ]);
    },
    unlock: (email) => counters.forget(keyed("account", email)),
    async admitFactor(accountId) {
      assertAdmitted(await counters.take(keyed("factor", accountId), failureRules.factor));
    },
    factorSucceeded: (accountId) => counters.forget(keyed("factor", accountId)),
    async admitMail(email, clientIp) {
      await consume(limiters.mailOfAddress, keyed("mail-from", networkOf(clientIp)));
      return consume(limiters.mail, keyed("mail-to", email)).then(
        () => true,
        () => false,
      );
    },
    admitAnonymous: (clientIp) => consume(limiters.anonymous, keyed("anonymous", networkOf(clientIp))),
    deviceOf(email, known) {
      const id = deviceId(email, known) ?? randomBytes(16).toString("base64url");
      return `${id}.${proofOf(email, id)}`;
    },
  };
}

function assertAdmitted(verdict: Awaited<ReturnType<FailureCounters["take"]>>): void {
  if (verdict.kind === "wait") throw tooMany(verdict.waitMs);
  if (verdict.kind === "stopped") {
    throw new AppError({
      kind: "forbidden",
      code: "sign_in_link_required",
      publicMessage: "After many failed attempts this address can sign in only by a link that is mailed to it.",
    });
  }
}

function tooMany(waitMs: number): AppError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return new AppError({
    kind: "rate_limited",
    code: "too_many_attempts",
    publicMessage: `Too many failed attempts. Try again in ${String(seconds)} s.`,
    retryAfterSeconds: seconds,
  });
}

async function consume(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (rejected) {
    if (!(rejected instanceof RateLimiterRes)) throw rejected;
    throw tooMany(rejected.msBeforeNext);
  }
}

async function reward(limiter: RateLimiterAbstract, key: string): Promise<void> {
  await limiter.reward(key);
}
