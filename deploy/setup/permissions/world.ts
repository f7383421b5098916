import { authMigrations, authSchema } from "@codex/auth";
import { migrations as billingMigrations, schema as billingSchema } from "@codex/billing-ledger";
import { migrate } from "@codex/db";
import { gatewayMigrations, gatewaySchema } from "@codex/gateway-proxy";
import { imageMigrations, imagesSchema } from "@codex/image-cache";
import { keyMigrations, keysSchema } from "@codex/key-registry";
import { createLogger, loadConfig } from "@codex/runtime";
import { bonusMigrations, bonusSchema } from "@codex/telegram-bonus";
import { startInfra, urlAs, type Infra } from "@codex/testkit";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { serverUsers } from "../src/boundary.ts";
import { schemas, setupConfig, type Schema } from "../src/config.ts";
import { setUp } from "../src/setup.ts";

/** Servers of our own, set up by the program that a deployment runs, with every schema migrated. */
export interface World {
  /** As superuser. */
  readonly adminPostgresUrl: string;
  postgresUrl(schema: Schema, role: "owner" | "app"): string;
  readonly natsUrl: (user: string) => string;
  readonly redisUrl: (user: string) => string;
  /** As the servers' own administrator, who sees everything. */
  readonly admin: { readonly nats: string; readonly redis: string };
  /** Without any credentials. */
  readonly anonymous: { readonly nats: string; readonly redis: string };
  /** Where the servers keep their data and logs; gone after `stop`. */
  readonly dataDir: string;
  stop(): Promise<void>;
}

const migrations = {
  [authSchema]: authMigrations,
  [keysSchema]: keyMigrations,
  [gatewaySchema]: gatewayMigrations,
  [billingSchema]: billingMigrations,
  [imagesSchema]: imageMigrations,
  [bonusSchema]: bonusMigrations,
};

export async function startWorld(): Promise<World> {
  const dataDir = mkdtempSync(path.join(tmpdir(), "codex-permissions-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  const passwords = new Map<string, string>();
  const password = (name: string): string => {
    const known = passwords.get(name) ?? randomBytes(24).toString("hex");
    passwords.set(name, known);
    return known;
  };
  const users = serverUsers((server, name) => password(`${server}.${name}`));
  const infra = await startInfra({
    dataDir,
    persistent: false,
    allowContainers: false,
    users,
    log: () => undefined,
  });
  const stop = async (): Promise<void> => {
    await infra.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    return await setUpOn(infra, dataDir, password, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function setUpOn(
  infra: Infra,
  dataDir: string,
  password: (name: string) => string,
  stop: () => Promise<void>,
): Promise<World> {
  const postgresUrl = (schema: Schema, role: "owner" | "app"): string =>
    urlAs(infra.postgresUrl, { name: `${schema}_${role}`, password: password(`${schema}_${role}`) });
  const settings = Object.fromEntries(
    schemas.flatMap((schema) =>
      (["owner", "app"] as const).map((role) => [
        `${schema}_${role}_PASSWORD`.toUpperCase(),
        password(`${schema}_${role}`),
      ]),
    ),
  );
  const config = loadConfig(setupConfig, {
    ...settings,
    ADMIN_DATABASE_URL: infra.postgresUrl,
    NATS_URL: infra.natsUrl,
  });
  await setUp(config, createLogger({ service: "setup", level: "silent" }));
  for (const schema of schemas)
    await migrate({
      url: postgresUrl(schema, "owner"),
      schema,
      migrations: migrations[schema],
      appRole: `${schema}_app`,
    });
  const bare = (url: string): string => urlAs(url, { name: "", password: "" });
  return {
    adminPostgresUrl: infra.postgresUrl,
    postgresUrl,
    natsUrl: (name) => urlAs(infra.natsUrl, { name, password: password(`nats.${name}`) }),
    redisUrl: (name) => urlAs(infra.redisUrl, { name, password: password(`redis.${name}`) }),
    admin: { nats: infra.natsUrl, redis: infra.redisUrl },
    dataDir,
    anonymous: { nats: bare(infra.natsUrl), redis: bare(infra.redisUrl) },
    stop,
  };
}
