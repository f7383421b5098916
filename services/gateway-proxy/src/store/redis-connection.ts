import type { Secret } from "@codex/runtime";
import { Cluster, Redis, type RedisOptions } from "ioredis";

/**
 * How the operator's Redis is made:
 *
 *   single    one server
 *   sentinel  sentinels that know which of several servers is the master
 *   cluster   Redis Cluster: any of its nodes names the others
 */
export const redisModes = ["single", "sentinel", "cluster"] as const;
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

/** What contradicts itself in the settings, as a sentence for the operator; undefined: nothing. */
export function redisProblem({ mode, urls, master, sentinelPassword }: RedisSettings): string | undefined {
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
function databaseOf(pathname: string): number | undefined {
  const text = pathname.replace(/^\//, "");
  return text === "" ? 0 : /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}

/** A Redis that is away costs nothing; how long an answer may take is bounded for each turn, see RedisTurns. */
const bounds = {
  connectTimeout: 1_000,
  maxRetriesPerRequest: 0,
  // Also of a connection that is down already, where it only delays the end of the process (2 s by default).
  disconnectTimeout: 250,
  enableOfflineQueue: false,
} as const;
const retryMs = (attempt: number): number => Math.min(attempt * 100, 2_000);

/** Connects in the background and for ever; `redisProblem` has been asked. */
export function connectRedis(settings: RedisSettings): Redis | Cluster {
  const [first] = settings.urls;
  if (first === undefined) throw new Error("no address of Redis");
  const common = { ...bounds, retryStrategy: retryMs };
  if (settings.mode === "single") return new Redis(first, common);
  const servers = settings.urls.map((url) => {
    const { hostname, port } = new URL(url);
    return { host: hostname, port: Number(port === "" ? defaultPorts[settings.mode] : port) };
  });
  const identity = identityOf(first);
  if (settings.mode === "sentinel") {
    return new Redis({
      ...common,
      ...identity,
      sentinels: servers,
      name: settings.master ?? "",
      ...(settings.sentinelPassword === undefined ? {} : { sentinelPassword: settings.sentinelPassword.reveal() }),
      sentinelCommandTimeout: bounds.connectTimeout,
      sentinelRetryStrategy: retryMs,
      ...(identity.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: {} }),
    });
  }
  return new Cluster(servers, {
    enableOfflineQueue: false,
    clusterRetryStrategy: retryMs,
    slotsRefreshTimeout: bounds.connectTimeout,
    // A slot that moves answers at its new place; the caller's own timeout is above all of it.
    maxRedirections: 3,
    redisOptions: { ...bounds, ...identity },
  });
}

const defaultPorts = { single: 6_379, cluster: 6_379, sentinel: 26_379 } as const;

function identityOf(url: string): Pick<RedisOptions, "username" | "password" | "db" | "tls"> {
  const { protocol, username, password, pathname } = new URL(url);
  const db = databaseOf(pathname) ?? 0;
  return {
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    ...(db === 0 ? {} : { db }),
    ...(protocol === "rediss:" ? { tls: {} } : {}),
  };
}

/** What an error says about the setting itself, which no waiting heals; undefined: nothing. */
export function redisMisfit(mode: RedisMode, error: unknown): string | undefined {
  const text = textsOf(error).join("; ");
  if (mode !== "cluster" && /\b(?:MOVED|CROSSSLOT|CLUSTERDOWN)\b/.test(text)) {
    return `REDIS_MODE=${mode}, but this Redis is a node of a cluster: set REDIS_MODE=cluster`;
  }
  if (mode === "cluster" && /cluster support disabled/i.test(text)) {
    return "REDIS_MODE=cluster, but this Redis is no cluster: set REDIS_MODE=single";
  }
  if (mode === "sentinel" && /unknown command|No such master|All sentinels are unreachable/i.test(text)) {
    return "REDIS_MODE=sentinel, but no sentinel of REDIS_URL knows the master of REDIS_SENTINEL_MASTER";
  }
  return undefined;
}

/** ioredis hides what a node said behind "Failed to refresh slots cache". */
function textsOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)];
  const inner = (error as { readonly lastNodeError?: unknown }).lastNodeError ?? error.cause;
  return [error.message, ...(inner === undefined ? [] : textsOf(inner))];
}
