import { leakCheck, startInfra, testInfra, type Infra } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { RedisTurns } from "../src/store/redis-turns.ts";

const leaks = leakCheck();
let folder: string;
let infra: Infra;
let redis: Redis;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "codex-turns-"));
  const { postgresUrl, natsUrl } = testInfra();
  infra = await startInfra({
    dataDir: folder,
    persistent: false,
    given: { postgresUrl, natsUrl },
    log: () => undefined,
  });
  redis = new Redis(infra.redisUrl);
  await redis.ping();
}, 30_000);

afterAll(async () => {
  redis.disconnect();
  await infra.stop();
  rmSync(folder, { recursive: true, force: true });
  await leaks.assertClean();
}, 30_000);

const bytesWritten = (): number => (redis.stream as unknown as { bytesWritten: number }).bytesWritten;

test("given what nobody waits for, when a question follows, then both go in one write, in their order", async () => {
  const turns = new RedisTurns(redis, 10_000);
  const before = bytesWritten();
  const soon = turns.sendSoon("incr", ["together"]);
  await turn();
  expect(bytesWritten()).toBe(before);
  await expect(turns.send("get", ["together"])).resolves.toBe("1");
  await expect(soon).resolves.toBe(1);
});

test("given a question that is due, then what nobody waits for goes with it, and the next question is another turn", async () => {
  const turns = new RedisTurns(redis, 10_000);
  const [asked, told] = [turns.send("incr", ["due"]), turns.sendSoon("incr", ["due"])];
  await expect(Promise.all([asked, told])).resolves.toEqual([1, 2]);
  await expect(turns.send("get", ["due"])).resolves.toBe("2");
});

test("given nothing follows, then what nobody waits for goes alone", async () => {
  await expect(new RedisTurns(redis, 10_000).sendSoon("incr", ["alone"])).resolves.toBe(1);
});
