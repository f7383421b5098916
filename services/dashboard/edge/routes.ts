import type { EdgeConfig } from "./config.ts";

/** Which service answers which paths; the same table as in the Caddy file of a container deployment. */
export interface EdgeRoute {
  readonly prefix: string;
  readonly target: keyof EdgeConfig["targets"];
}

export const edgeRoutes: readonly EdgeRoute[] = [
  { prefix: "/v1", target: "gateway" },
  // Claude Code asks it before its first request.
  { prefix: "/api/hello", target: "gateway" },
  { prefix: "/api/auth", target: "auth" },
  { prefix: "/api/keys", target: "keys" },
  { prefix: "/api/billing", target: "billing" },
  { prefix: "/api/gateway", target: "gateway" },
  { prefix: "/api/bonus", target: "bonus" },
  { prefix: "/images", target: "images" },
];

export function matches(route: EdgeRoute, path: string): boolean {
  return path === route.prefix || path.startsWith(`${route.prefix}/`);
}

/** Headers by which services could be told who asks; from outside they are lies (SEC-04). */
export const identityHeaders = [
  "x-account-id",
  "x-user-id",
  "x-user-role",
  "x-session-id",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "forwarded",
  "x-real-ip",
] as const;
