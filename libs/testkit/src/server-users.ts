import { renderBusUsers, type BusPermissions } from "@codex/bus";
import { converse } from "./probe.ts";

/**
 * Users of NATS and Redis beside the administrator, each with no more rights than are listed. They stand in the servers'
 * configuration, so that they are there again after a restart. Passwords are hex.
 */
export interface ServerUsers {
  readonly nats: readonly NatsUser[];
  readonly redis: readonly RedisUser[];
}

export interface NatsUser {
  readonly name: string;
  readonly password: string;
  readonly permissions: BusPermissions;
}

export interface RedisUser {
  readonly name: string;
  readonly password: string;
  /** As `ACL SETUSER` takes them; keys and commands are both closed without a rule. */
  readonly rules: readonly string[];
}

export function natsAuthorization(admin: string, password: string, users: readonly NatsUser[]): string {
  const quoted = users.map((user) => ({ ...user, password: JSON.stringify(user.password) }));
  return `authorization {\n  ${renderBusUsers([{ name: admin, password: JSON.stringify(password) }, ...quoted])}\n}`;
}

/** Each is one `user` directive, in words. */
export function redisUserWords({ name, password, rules }: RedisUser): readonly string[] {
  return ["user", name, "on", `>${password}`, ...rules];
}

/** For a server that runs already, as the one that all tests share. Idempotent; rejects when it does not take them. */
export async function makeRedisUsers(adminUrl: string, users: readonly RedisUser[]): Promise<void> {
  const { hostname, port, password } = new URL(adminUrl);
  const orders = users.map((user) => {
    const [, name = "", ...rules] = redisUserWords(user);
    return `ACL SETUSER ${[name, "reset", ...rules].join(" ")}`;
  });
  const made = await converse({
    host: hostname,
    port: Number(port),
    say: `${[`AUTH ${password}`, ...orders].join("\r\n")}\r\n`,
    expect: new RegExp(`^(\\+OK\\r\\n){${String(orders.length + 1)}}`),
    timeoutMs: 5_000,
  });
  if (!made) throw new Error(`Redis at ${hostname}:${port} did not take its users.`);
}

/** The same server, signed in as another user. */
export function urlAs(
  serverUrl: string,
  { name, password }: { readonly name: string; readonly password: string },
): string {
  const url = new URL(serverUrl);
  url.username = name;
  url.password = password;
  return url.href;
}
