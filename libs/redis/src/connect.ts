import { Cluster, Redis, type RedisOptions } from "ioredis";
import { databaseOf, type RedisSettings } from "./settings.ts";

export type { Cluster, Redis };

/** A Redis that is away costs nothing: commands fail at once. */
const bounds = {
  connectTimeout: 1_000,
  maxRetriesPerRequest: 0,
  // Also of a connection that is down already, where it only delays the end of the process (2 s by default).
  disconnectTimeout: 250,
  enableOfflineQueue: false,
} as const;
const retryMs = (attempt: number): number => Math.min(attempt * 100, 2_000);

export interface RedisBounds {
  /** How long an answer may take; without it the caller bounds its commands itself. */
  readonly commandTimeout?: number;
}

/** Connects in the background and for ever; `redisProblems` has been asked. */
export function connectRedis(settings: RedisSettings, more: RedisBounds = {}): Redis | Cluster {
  const [first] = settings.urls;
  if (first === undefined) throw new Error("no address of Redis");
  const common = { ...bounds, ...more, retryStrategy: retryMs };
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
    redisOptions: { ...bounds, ...more, ...identity },
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
