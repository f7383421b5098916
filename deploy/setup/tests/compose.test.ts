import { authConfig } from "@codex/auth";
import { config as billingConfig } from "@codex/billing-ledger";
import { gatewayConfig } from "@codex/gateway-proxy";
import { imageCacheConfig } from "@codex/image-cache";
import { keyRegistryConfig } from "@codex/key-registry";
import { loadConfig, type ConfigSpec } from "@codex/runtime";
import { telegramBonusConfig } from "@codex/telegram-bonus";
import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { boundaries, serverUsers } from "../src/boundary.ts";
import { setupConfig } from "../src/config.ts";
import { deployedNatsConfig } from "../src/nats-config.ts";

// No container engine is needed to find out whether the compose file and the services agree: each service's own
// configuration is loaded from the environment that the file would give it, with the .env that make-env.mjs writes.

const root = fileURLToPath(new URL("../../../", import.meta.url));

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly environment?: Readonly<Record<string, string>>;
        readonly depends_on?: Readonly<Record<string, unknown>>;
        readonly command?: readonly string[];
      }
    >
  >;
}

const compose = parse(readFileSync(`${root}docker-compose.yml`, "utf8"), { merge: true }) as Compose;

/** Runs the real script in a folder of its own and reads what it wrote. */
function freshEnv(): {
  values: ReadonlyMap<string, string>;
  mode: number;
  second: number | null;
  completed: string;
} {
  const folder = mkdtempSync(join(tmpdir(), "codex-env-"));
  try {
    const script = join(folder, "deploy/setup/make-env.mjs");
    mkdirSync(join(folder, "deploy/setup"), { recursive: true });
    copyFileSync(`${root}deploy/setup/make-env.mjs`, script);
    expect(spawnSync(process.execPath, [script]).status).toBe(0);
    const text = readFileSync(join(folder, ".env"), "utf8");
    const second = spawnSync(process.execPath, [script]).status;
    expect(readFileSync(join(folder, ".env"), "utf8")).toBe(text);
    // As after an update that brings a new secret: what was there stays, in front of what is new.
    const older = text.replace(/^KEYS_NATS_PASSWORD=.*\n/m, "");
    writeFileSync(join(folder, ".env"), older);
    expect(spawnSync(process.execPath, [script]).status).toBe(0);
    const completed = readFileSync(join(folder, ".env"), "utf8");
    expect(completed.startsWith(older)).toBe(true);
    const pairs = text
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const);
    return { values: new Map(pairs), mode: statSync(join(folder, ".env")).mode & 0o777, second, completed };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const env = freshEnv();

/** The environment of a service after compose's own substitution; an unset variable is an error, as `:?` makes it there. */
function environmentOf(service: string): Record<string, string> {
  const declared = compose.services[service]?.environment;
  if (!declared) throw new Error(`no environment for ${service}`);
  return Object.fromEntries(
    Object.entries(declared).map(([name, value]) => [
      name,
      value
        .replaceAll(/\$\{([A-Z_]+):\?[^}]*\}/g, (_match, variable: string) => {
          const known = env.values.get(variable);
          if (known === undefined) throw new Error(`${service}.${name}: make-env.mjs does not write ${variable}`);
          return known;
        })
        .replaceAll(/\$\{[A-Z_]+:-([^}]*)\}/g, (_match, otherwise: string) => otherwise),
    ]),
  );
}

test("the script writes every secret once, for its owner only, and never over an existing file", () => {
  expect(env.mode).toBe(0o600);
  expect(env.second).toBe(1);
  const secrets = [...env.values].filter(([name]) => name !== "PUBLIC_ORIGIN").map(([, value]) => value);
  expect(new Set(secrets).size).toBe(secrets.length);
  expect(env.completed).toMatch(/KEYS_NATS_PASSWORD=[0-9a-f]{64}\n$/);
});

test("SEC-03 the configuration of NATS is the one that the boundaries make; after a change of them run npm run generate", () => {
  expect(readFileSync(`${root}deploy/setup/nats.conf`, "utf8")).toBe(deployedNatsConfig());
});

test("SEC-03 the users of Redis have the rules of the boundaries, and every service signs in as itself", () => {
  const { redis } = serverUsers((_server, name) => `\${${name.toUpperCase()}_REDIS_PASSWORD:?}`);
  const expected = redis.flatMap(({ name, password, rules }) => ["--user", name, "on", `>${password}`, ...rules]);
  const command = compose.services["redis"]?.command ?? [];
  expect(command.slice(command.indexOf("--user"))).toEqual(expected);
  for (const { service, name, redisPrefix } of boundaries) {
    const { NATS_URL: natsUrl = "", REDIS_URL: redisUrl } = environmentOf(service);
    expect(new URL(natsUrl).username).toBe(name);
    expect(`p${env.values.get(`${name.toUpperCase()}_NATS_PASSWORD`) ?? ""}`).toBe(new URL(natsUrl).password);
    expect(redisUrl === undefined ? undefined : new URL(redisUrl).username).toBe(
      redisPrefix === undefined ? undefined : name,
    );
  }
});

test.each<readonly [string, ConfigSpec<unknown>]>([
  ["auth", authConfig],
  ["key-registry", keyRegistryConfig],
  ["billing-ledger", billingConfig],
  ["gateway-proxy", gatewayConfig],
  ["image-cache", imageCacheConfig],
  ["telegram-bonus", telegramBonusConfig],
  ["setup", setupConfig],
])("%s starts with what the compose file gives it", (service, spec) => {
  expect(() => loadConfig(spec, environmentOf(service))).not.toThrow();
});

test("every service waits for its own migration, and every migration for the roles and schemas", () => {
  const migrations = Object.keys(compose.services).filter((name) => name.endsWith("-migrate"));
  expect(migrations).toHaveLength(6);
  for (const name of migrations) {
    expect(compose.services[name]?.depends_on).toHaveProperty("setup");
    expect(compose.services[name.replace(/-migrate$/, "")]?.depends_on).toHaveProperty(name);
    expect(environmentOf(name)["DATABASE_OWNER_URL"]).toMatch(/_owner:/);
  }
});
