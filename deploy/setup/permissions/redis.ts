import { Redis } from "ioredis";
import { boundaries } from "../src/boundary.ts";
import type { Attempt, Control, Tried } from "./attempt.ts";
import type { World } from "./world.ts";

type Command = readonly [name: string, ...args: string[]];

/** What looks at, empties, changes or listens to the whole server. */
const never: readonly Command[] = [
  ["keys", "*"],
  ["scan", "0"],
  ["randomkey"],
  ["dbsize"],
  ["flushall"],
  ["flushdb"],
  ["config", "get", "*"],
  ["config", "set", "maxmemory", "1"],
  ["acl", "list"],
  ["acl", "setuser", "x", "on", "nopass", "allkeys", "allcommands"],
  ["client", "list"],
  ["client", "kill", "type", "normal"],
  ["script", "flush"],
  ["function", "list"],
  ["replicaof", "127.0.0.1", "1"],
  ["save"],
  ["slowlog", "get"],
  ["swapdb", "0", "1"],
  ["publish", "x", "x"],
  ["subscribe", "x"],
  ["cluster", "reset"],
  ["cluster", "nodes"],
  ["migrate", "127.0.0.1", "1", "x", "0", "1"],
];

function onKey(key: string): readonly Command[] {
  return [
    ["get", key],
    ["set", key, "x"],
    ["del", key],
    ["hgetall", key],
    ["incrby", key, "1"],
    ["exists", key],
    ["eval", "return redis.call('GET', KEYS[1])", "1", key],
    // A key that is not declared is checked when it is touched.
    ["eval", `return redis.call('SET', '${key}', 'x')`, "0"],
  ];
}

export async function tryRedis(world: World): Promise<Tried> {
  const attempts: Attempt[] = [];
  const controls: Control[] = [];
  const users = boundaries.flatMap(({ name, redisPrefix }) =>
    redisPrefix === undefined ? [] : [{ name, redisPrefix }],
  );
  for (const { name, redisPrefix } of users) {
    const others = users.filter((other) => other.name !== name).map((other) => other.redisPrefix);
    const redis = open(world.redisUrl(name));
    try {
      for (const command of [...others, "x", ""].flatMap((prefix) => onKey(`${prefix}permissions`)).concat(never))
        attempts.push({ server: "redis", as: name, what: command.join(" "), ...(await denied(redis, command)) });
      const own: Command = ["set", `${redisPrefix}permissions`, "x", "ex", "1"];
      const works = (await call(redis, own)) === undefined;
      controls.push({ server: "redis", as: name, what: own.join(" "), works });
    } finally {
      redis.disconnect();
    }
  }
  for (const [as, url] of [
    ["nobody", world.anonymous.redis],
    // A service that needs no Redis has no user there.
    ["keys", world.redisUrl("keys")],
    ["billing", world.redisUrl("billing")],
  ] as const) {
    const redis = open(url);
    try {
      attempts.push({ server: "redis", as, what: "get x", ...(await denied(redis, ["get", "x"])) });
    } finally {
      redis.disconnect();
    }
  }
  return { attempts, controls };
}

async function denied(redis: Redis, command: Command): Promise<Pick<Attempt, "outcome" | "detail">> {
  const error = await call(redis, command);
  if (error === undefined) return { outcome: "ALLOWED" };
  const text = error instanceof Error ? error.message : "no error";
  // Inside a script Redis says it in a sentence of its own.
  const isDenied = /NOPERM|NOAUTH|WRONGPASS|user executing the script can't/.test(text);
  return isDenied ? { outcome: "denied" } : { outcome: "ALLOWED", detail: text };
}

/** Undefined when it worked. */
async function call(redis: Redis, [name, ...args]: Command): Promise<unknown> {
  try {
    await redis.call(name, ...args);
    return undefined;
  } catch (error) {
    return error;
  }
}

function open(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 1,
    commandTimeout: 5_000,
    retryStrategy: () => null,
    enableReadyCheck: false,
  });
  redis.on("error", () => undefined);
  return redis;
}
