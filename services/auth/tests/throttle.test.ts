import { AppError, ManualClock, newId } from "@codex/kernel";
import { testInfra } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import type { Attempt, SignInThrottle } from "../src/app/ports.ts";
import { memoryCounters, redisCounters } from "../src/store/failure-counters.ts";
import { signInThrottle } from "../src/store/sign-in-throttle.ts";

/** Below HTTP, because an attack of days cannot be waited for: the throttle itself, with a clock that is moved. */

let redis: Redis;
beforeAll(() => {
  redis = new Redis(testInfra().redisUrl, { maxRetriesPerRequest: 1 });
});
afterAll(() => redis.disconnect());

interface Bench {
  readonly clock: ManualClock;
  readonly throttle: SignInThrottle;
  /** Two more processes with the same settings. */
  readonly replicas: readonly [SignInThrottle, SignInThrottle];
}

const benches: readonly (readonly [string, () => Bench])[] = [
  [
    "in Redis",
    () => {
      const clock = new ManualClock(new Date());
      const options = { keySecret: randomBytes(32).toString("hex"), mailsPerNetworkPerHour: 60 };
      const replica = () => signInThrottle(redis, redisCounters(redis, clock), options);
      return { clock, throttle: replica(), replicas: [replica(), replica()] };
    },
  ],
  [
    "in this process",
    () => {
      const clock = new ManualClock(new Date());
      const options = { keySecret: randomBytes(32).toString("hex"), mailsPerNetworkPerHour: 60 };
      const throttle = signInThrottle(redis, memoryCounters(clock), options);
      return { clock, throttle, replicas: [throttle, throttle] };
    },
  ],
];

const email = "owner@example.org";
const from = (network: number, device?: string): Attempt => ({
  email,
  clientIp: `10.${String(network >> 8)}.${String(network & 255)}.7`,
  device,
});
const outcome = (throttle: SignInThrottle, attempt: Attempt): Promise<string> =>
  throttle.admit(attempt).then(
    () => "admitted",
    (error: unknown) =>
      error instanceof AppError ? `${error.code} ${String(error.retryAfterSeconds ?? "")}`.trim() : "?",
  );

describe.each(benches)("failures counted %s", (_where, bench) => {
  test("given an attacker in a thousand networks and a month of patience, when it guesses, then it gets at most a hundred tries, and the owner's browser signs in all the while", async () => {
    const { clock, throttle, replicas } = bench();
    const device = throttle.deviceOf(email, undefined);
    let tries = 0;
    for (let guess = 0; guess < 1_500; guess += 1) {
      const verdict = await outcome([throttle, ...replicas][guess % 3] ?? throttle, from(guess % 1_000));
      if (verdict === "admitted") tries += 1;
      clock.advance(16 * 60_000);
      if (guess % 100 === 0) {
        expect(await outcome(throttle, from(5_000, device))).toBe("admitted");
        await throttle.succeeded(from(5_000, device));
      }
    }
    expect(tries).toBe(100);
    expect(await outcome(throttle, from(2_000))).toBe("sign_in_link_required");
    expect(await outcome(throttle, from(5_000, device))).toBe("admitted");
    // A mailed link with the right password begins anew.
    await throttle.unlock(email);
    expect(await outcome(throttle, from(2_001))).toBe("admitted");
  }, 60_000);

  test("given failures from everywhere, when they go on, then the account waits 1, 2, 4 … seconds and never above fifteen minutes", async () => {
    const { clock, throttle } = bench();
    const waits: string[] = [];
    for (let network = 0; network < 17; network += 1) {
      expect(await outcome(throttle, from(network))).toBe("admitted");
      const next = await outcome(throttle, from(1_000 + network));
      waits.push(next);
      if (next === "admitted") await throttle.unjudged(from(1_000 + network));
      else clock.advance(Number(next.split(" ")[1]) * 1_000);
    }
    const seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900].map(
      (wait) => `too_many_attempts ${String(wait)}`,
    );
    expect(waits).toEqual(["admitted", "admitted", "admitted", "admitted", ...seconds]);
  });

  test("given a known browser, when somebody uses it to guess, then it slows down by itself, and after a hundred it is a stranger", async () => {
    const { clock, throttle } = bench();
    const device = throttle.deviceOf(email, undefined);
    for (let guess = 0; guess < 5; guess += 1) expect(await outcome(throttle, from(1, device))).toBe("admitted");
    expect(await outcome(throttle, from(1, device))).toBe("too_many_attempts 1");
    // The account has heard nothing of it.
    expect(await outcome(throttle, from(2))).toBe("admitted");
    for (let guess = 5; guess < 100; guess += 1) {
      clock.advance(16 * 60_000);
      expect(await outcome(throttle, from(1, device))).toBe("admitted");
    }
    clock.advance(16 * 60_000);
    // Now it counts with everybody else's: a hundred in all, one of them above.
    for (let guess = 1; guess < 100; guess += 1) {
      expect(await outcome(throttle, from(guess, device))).toBe("admitted");
      clock.advance(16 * 60_000);
    }
    expect(await outcome(throttle, from(200, device))).toBe("sign_in_link_required");
  });

  test("given a device cookie that was made up, altered or is of another account, when it comes, then it is a stranger's", async () => {
    const { throttle } = bench();
    const other = throttle.deviceOf("somebody@example.org", undefined);
    const mine = throttle.deviceOf(email, undefined);
    expect(throttle.deviceOf(email, mine)).toBe(mine);
    expect(throttle.deviceOf(email, other)).not.toBe(other);
    const altered = (mine.startsWith("A") ? "B" : "A") + mine.slice(1);
    const strangers = [other, altered, "", "x.y", `${"A".repeat(22)}.${"A".repeat(43)}`, undefined];
    for (const device of strangers) await outcome(throttle, { ...from(3, device), clientIp: "10.9.9.9" });
    // Six strangers of one network have used up its five tries.
    expect(await outcome(throttle, { ...from(3), clientIp: "10.9.9.10" })).toMatch(/^too_many_attempts/);
    expect(await outcome(throttle, { ...from(3, mine), clientIp: "10.9.9.10" })).toBe("admitted");
  });

  test("given a success, when it was of this account and network, then both count anew; what was not judged never counted", async () => {
    const { throttle } = bench();
    for (let round = 0; round < 3; round += 1) {
      for (let guess = 0; guess < 4; guess += 1) await throttle.admit(from(4));
      await throttle.succeeded(from(4));
    }
    for (let guess = 0; guess < 20; guess += 1) {
      expect(await outcome(throttle, from(4))).toBe("admitted");
      await throttle.unjudged(from(4));
    }
  });

  test("given second factors that fail, when they are counted, then the account slows down and a right one begins anew", async () => {
    const { throttle } = bench();
    const accountId = newId("acc");
    for (let guess = 0; guess < 5; guess += 1) await throttle.admitFactor(accountId);
    await expect(throttle.admitFactor(accountId)).rejects.toMatchObject({ code: "too_many_attempts" });
    await throttle.factorSucceeded(accountId);
    await throttle.admitFactor(accountId);
  });
});
