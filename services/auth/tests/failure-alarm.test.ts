import { idToUuid, ManualClock } from "@codex/kernel";
import { eventually, testInfra } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import { failureAlarm, type WaveCounter } from "../src/app/failure-alarm.ts";
import { eitherWaveCounter, memoryWaveCounter, redisWaveCounter } from "../src/store/wave-counter.ts";
import type { Harness } from "./_harness.ts";
import { freshEmail, mailsTo, mailTo, register, signIn, startAuth } from "./_util.ts";

// SEC-16: guesses that are spread over many accounts and networks, so that none of them stands out.

let redis: Redis;
beforeAll(() => {
  redis = new Redis(testInfra().redisUrl, { maxRetriesPerRequest: 1 });
});
afterAll(() => redis.disconnect());

const counters: readonly (readonly [string, (clock: ManualClock) => readonly WaveCounter[]])[] = [
  [
    "in Redis, by three replicas",
    (clock) => {
      const prefix = `auth:{wave-${randomBytes(6).toString("hex")}}:`;
      return [1, 2, 3].map(() => redisWaveCounter(redis, clock, prefix));
    },
  ],
  ["in this process", (clock) => [memoryWaveCounter(clock)]],
];

describe.each(counters)("failures of everybody counted %s", (_where, makeCounters) => {
  test("given failures over time, when the window moves on, then what is older than ten minutes is forgotten", async () => {
    const clock = new ManualClock(new Date("2030-01-01T00:00:00Z"));
    const replicas = makeCounters(clock);
    const fail = async (times: number): Promise<number> => {
      let count = 0;
      for (let turn = 0; turn < times; turn += 1) count = (await replicas[turn % replicas.length]?.failed()) ?? 0;
      return count;
    };
    expect(await fail(30)).toBe(30);
    clock.advance(9 * 60_000);
    expect(await fail(6)).toBe(36);
    clock.advance(60_000);
    expect(await fail(1)).toBe(7);
    clock.advance(60 * 60_000);
    expect(await fail(1)).toBe(1);
  });

  test("given as many as the setting says, when they go on, then operators are told of it, and the gauge falls when it is over", async () => {
    const clock = new ManualClock(new Date("2031-01-01T00:00:00Z"));
    const seen: string[] = [];
    const note = (what: string) => (): void => void seen.push(what);
    const alarms = makeCounters(clock).map((counter) =>
      failureAlarm({
        counter,
        clock,
        failuresMax: 20,
        alarms: { raiseWave: (failures) => Promise.resolve(seen.push(`raised ${String(failures)}`) > 0) },
        events: {
          signInFailed: () => undefined,
          signInWave: note("wave"),
          signInWaveOver: note("over"),
          operatorsTold: note("told"),
          alarmFault: note("fault"),
        },
      }),
    );
    const fail = async (times: number): Promise<readonly string[]> => {
      seen.length = 0;
      for (let turn = 0; turn < times; turn += 1) await alarms[0]?.failed();
      return seen.filter((what, index) => what !== seen[index - 1]);
    };
    expect(await fail(19)).toEqual(["over"]);
    expect(await fail(30)).toEqual(["wave", "raised 20", "told"]);
    clock.advance(60_000);
    expect(await fail(1)).toEqual(["wave", "raised 50", "told"]);
    clock.advance(30 * 60_000);
    expect(await fail(1)).toEqual(["over"]);
  });
});

test("given Redis is away, when sign-ins fail, then this process counts, and what cannot be counted changes no answer", async () => {
  const clock = new ManualClock(new Date());
  const away: WaveCounter = { failed: () => Promise.reject(new Error("away")) };
  const counter = eitherWaveCounter(away, memoryWaveCounter(clock));
  expect([await counter.failed(), await counter.failed()]).toEqual([1, 2]);
  const faults: unknown[] = [];
  const nothing = (): void => undefined;
  const events = { signInFailed: nothing, signInWave: nothing, signInWaveOver: nothing, operatorsTold: nothing };
  await failureAlarm({
    counter: away,
    clock,
    failuresMax: 1,
    alarms: { raiseWave: () => Promise.resolve(true) },
    events: { ...events, alarmFault: (error) => void faults.push(error) },
  }).failed();
  expect(faults).toHaveLength(1);
});

describe("given an auth of two replicas", () => {
  let world: Harness;
  beforeAll(async () => {
    // Nobody else's failures are in this count: the other tests share the server, not the minute of a setting of ten.
    world = await startAuth({ AUTH_ALARM_FAILURES: "10" });
  });
  afterAll(() => world.stop());

  test("when ten sign-ins of ten accounts fail from ten networks, then support and admins get one mail each, customers none", async () => {
    const replica = await world.startReplica({ AUTH_ALARM_FAILURES: "10" });
    const people = await Promise.all(
      (["support", "admin", "finance", "user"] as const).map(async (role) => {
        const email = freshEmail();
        const { accountId } = await register(world, email);
        await world.query("update account set role = $2 where id = $1", [idToUuid(accountId), role]);
        return { role, email };
      }),
    );
    const attempts = Array.from({ length: 30 }, (_none, index) =>
      signIn(world, freshEmail(), "not the password", index % 2 === 0 ? {} : { to: replica }),
    );
    const answers = await Promise.all(attempts);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    const told = people.filter(({ role }) => role === "support" || role === "admin");
    for (const { email } of told) await mailTo(world, email, ({ text }) => /sign-ins failed|попыток входа/.test(text));
    await eventually(
      async () => (await world.query("select 1 from mail_intent where kind = 'sign_in_wave'")).length === 0,
      {
        what: "every mail to have left",
      },
    );
    for (const { role, email } of people) {
      const mails = (await mailsTo(world, email)).filter(({ text }) => /sign-ins failed|попыток входа/.test(text));
      expect([role, mails.length]).toEqual([role, role === "support" || role === "admin" ? 1 : 0]);
    }
  }, 60_000);
});
