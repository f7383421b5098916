import { renderBusUsers } from "@codex/bus";
import { administrator, serverUsers } from "./boundary.ts";

/** Name of the environment variable with a user's password, at the server and in `.env`. */
export function natsPasswordVariable(user: string): string {
  return `${user.toUpperCase()}_NATS_PASSWORD`;
}

/**
 * Configuration of the NATS server of `docker-compose.yml`; `npm run generate` writes it to nats.conf. Passwords come from the
 * server's environment, where each begins with a letter: what looks like a number would be read as one.
 */
export function deployedNatsConfig(): string {
  const { nats } = serverUsers((_server, name) => `$${natsPasswordVariable(name)}`);
  return `# Made by npm run generate from deploy/setup/src/boundary.ts.
http: 8222
jetstream { store_dir: "/data" }
authorization {
  ${renderBusUsers([{ name: administrator, password: "$NATS_PASSWORD" }, ...nats])}
}
`;
}
