import { env, type Secret } from "@codex/runtime";

/**
 * How the operator's Redis is made:
 *
 *   single    one server
 *   sentinel  sentinels that know which of several servers is the master
 *   cluster   Redis Cluster: any of its nodes names the others
 */
const redisModes = ["single", "sentinel", "cluster"] as const;
export type RedisMode = (typeof redisModes)[number];

export interface RedisSettings {
  readonly mode: RedisMode;
  /** One server, or sentinels, or nodes. User, password and scheme are the same in all, and those of the servers themselves. */
  readonly urls: readonly string[];
  /** Sentinel: the name of the master there. */
  readonly master: string | undefined;
  /** Of the sentinels themselves. */
  readonly sentinelPassword: Secret | undefined;
}

/** The settings of a service, to be spread among its fields. */
export const redisFields = (urlDescription: string) => ({
  REDIS_URL: env.urls({ protocols: ["redis", "rediss"] }).describe(urlDescription),
  REDIS_MODE: env
    .oneOf(redisModes, { default: "single" })
    .describe("What REDIS_URL lists: one server, the sentinels of one, or nodes of a Redis Cluster"),
  REDIS_SENTINEL_MASTER: env.optional(env.text()).describe("Name of the master at the sentinels"),
  REDIS_SENTINEL_PASSWORD: env
    .optional(env.secret({ bytesMin: 16 }))
    .describe("Password of the sentinels themselves; without it they have none"),
});

interface RedisValues {
  readonly REDIS_URL: readonly string[];
  readonly REDIS_MODE: RedisMode;
  readonly REDIS_SENTINEL_MASTER: string | undefined;
  readonly REDIS_SENTINEL_PASSWORD: Secret | undefined;
}

export function redisOf(values: RedisValues): RedisSettings {
  return {
    mode: values.REDIS_MODE,
    urls: values.REDIS_URL,
    master: values.REDIS_SENTINEL_MASTER,
    sentinelPassword: values.REDIS_SENTINEL_PASSWORD,
  };
}

/** What contradicts itself in these settings, for the check between a service's fields. */
export function redisProblems(values: RedisValues): readonly { readonly variable: string; readonly problem: string }[] {
  const problem = problemOf(redisOf(values));
  return problem === undefined ? [] : [{ variable: "REDIS_URL", problem }];
}

function problemOf({ mode, urls, master, sentinelPassword }: RedisSettings): string | undefined {
  const parsed = urls.map((url) => new URL(url));
  if (mode === "single" && urls.length > 1) {
    return `REDIS_URL lists ${String(urls.length)} addresses, and REDIS_MODE=single has one; set REDIS_MODE to sentinel or cluster`;
  }
  const identities = new Set(
    parsed.map(({ protocol, username, password }) => [protocol, username, password].join("\n")),
  );
  if (identities.size > 1) return "the addresses of REDIS_URL must have the same scheme, user and password";
  if (mode === "sentinel" && master === undefined) {
    return "REDIS_MODE=sentinel needs REDIS_SENTINEL_MASTER, the name of the master at the sentinels";
  }
  if (mode !== "sentinel" && (master !== undefined || sentinelPassword !== undefined)) {
    return "REDIS_SENTINEL_MASTER and REDIS_SENTINEL_PASSWORD belong to REDIS_MODE=sentinel";
  }
  const database = new Set(parsed.map(({ pathname }) => databaseOf(pathname)));
  if (database.size > 1 || database.has(undefined))
    return "an address of REDIS_URL may end in the number of a database alone";
  if (mode === "cluster" && !database.has(0))
    return "Redis Cluster has database 0 alone; remove the number from REDIS_URL";
  return undefined;
}

/** `/3` is database 3; nothing is 0. */
export function databaseOf(pathname: string): number | undefined {
  const text = pathname.replace(/^\//, "");
  return text === "" ? 0 : /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}
