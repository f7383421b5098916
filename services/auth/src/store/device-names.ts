import type { Cluster, Redis } from "@codex/redis";
import { createHmac } from "node:crypto";
import type { DeviceNames } from "../app/ports.ts";

/** As long as a session lives at most; what a browser called itself is kept nowhere else (privacy inventory). */
const lifeSeconds = 30 * 86_400;

export function redisDeviceNames(redis: Redis | Cluster, keySecret: string): DeviceNames {
  const keyOf = (sessionId: string): string =>
    `auth:device:${createHmac("sha256", keySecret).update(`session\u0000${sessionId}`).digest("base64url")}`;
  return {
    async put(sessionId, userAgent) {
      await redis.set(keyOf(sessionId), deviceNameOf(userAgent), "EX", lifeSeconds).catch(() => undefined);
    },
    async get(sessionIds) {
      // Each for itself: in a cluster they lie on several nodes.
      return Promise.all(sessionIds.map((sessionId) => redis.get(keyOf(sessionId)).catch(() => null)));
    },
  };
}

const browsers = [
  ["Edg/", "Edge"],
  ["OPR/", "Opera"],
  ["YaBrowser/", "Yandex Browser"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
] as const;
const systems = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS X", "macOS"],
  ["Linux", "Linux"],
] as const;

/** Families only: no version, no model, nothing that tells one machine from another. */
export function deviceNameOf(userAgent: string | undefined): string {
  const family = (table: readonly (readonly [string, string])[]): string | undefined =>
    table.find(([mark]) => userAgent?.includes(mark))?.[1];
  return [family(browsers) ?? "?", family(systems) ?? "?"].join(", ");
}
