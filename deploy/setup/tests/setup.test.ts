import { connectBus } from "@codex/bus";
import { authMigrations, authSchema } from "@codex/auth";
import { migrate, openDb } from "@codex/db";
import { loadConfig } from "@codex/runtime";
import { startInfra, testLogger, type Infra } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schemas, setupConfig } from "../src/config.ts";
import { setUp } from "../src/setup.ts";

// Servers of its own: roles belong to a whole cluster, and giving them other passwords would lock every other test out.
const dataDir = mkdtempSync(join(tmpdir(), "codex-setup-"));
const settings: Record<string, string> = {};
let infra: Infra;

beforeAll(async () => {
  infra = await startInfra({ dataDir, persistent: false, allowContainers: false, log: () => undefined });
  settings["ADMIN_DATABASE_URL"] = infra.postgresUrl;
  settings["NATS_URL"] = infra.natsUrl;
  for (const schema of schemas) {
    for (const role of ["OWNER", "APP"])
      settings[`${schema.toUpperCase()}_${role}_PASSWORD`] = randomBytes(16).toString("hex");
  }
}, 60_000);

afterAll(async () => {
  await infra.stop();
  rmSync(dataDir, { recursive: true, force: true });
}, 30_000);

function urlOf(schema: string, role: "owner" | "app"): string {
  const url = new URL(settings["ADMIN_DATABASE_URL"] ?? "");
  url.username = `${schema}_${role}`;
  url.password = settings[`${schema.toUpperCase()}_${role.toUpperCase()}_PASSWORD`] ?? "";
  return url.href;
}

test("twice in a row it gives the same: roles that can migrate and run, streams and buckets", async () => {
  const config = loadConfig(setupConfig, settings);
  await setUp(config, testLogger("setup"));
  await setUp(config, testLogger("setup"));

  const { applied } = await migrate({ url: urlOf("auth", "owner"), schema: authSchema, migrations: authMigrations });
  expect(applied).toHaveLength(authMigrations.length);
  const db = openDb<{ account: { id: string } }>({
    url: urlOf("auth", "app"),
    schema: authSchema,
    applicationName: "setup test",
  });
  expect(await db.kysely.selectFrom("account").select("id").execute()).toEqual([]);
  await db.close();

  const bus = await connectBus(
    { servers: [infra.natsUrl], name: "check" },
    { logger: testLogger("setup"), source: "check" },
  );
  // Creates nothing when everything is there; a difference would throw.
  await expect(bus.ensureTopology()).resolves.toBeUndefined();
  await bus.drain();
});

test.each(["AUTH_APP_PASSWORD", "NATS_URL", "ADMIN_DATABASE_URL"])(
  "without %s it refuses and names the variable",
  (variable) => {
    expect(() => loadConfig(setupConfig, { ...settings, [variable]: "" })).toThrow(variable);
  },
);
