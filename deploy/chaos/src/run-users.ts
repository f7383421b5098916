import { serverUsers, type Boundary } from "@codex/setup";
import { urlAs, type ServerUsers } from "@codex/testkit";
import { randomBytes } from "node:crypto";

/** Each service's own user at NATS and Redis, with the rights of its boundary and a password of this run (SEC-03). */
export interface RunUsers {
  readonly server: ServerUsers;
  /** The server's address as this service signs in there. */
  as(name: Boundary["name"], server: "nats" | "redis", serverUrl: string): string;
}

export function runUsers(): RunUsers {
  const passwords = new Map<string, string>();
  const password = (server: "nats" | "redis", name: Boundary["name"]): string => {
    const key = `${server}.${name}`;
    const known = passwords.get(key) ?? randomBytes(24).toString("hex");
    passwords.set(key, known);
    return known;
  };
  return {
    server: serverUsers(password),
    as: (name, server, serverUrl) => urlAs(serverUrl, { name, password: password(server, name) }),
  };
}
