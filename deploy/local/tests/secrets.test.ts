import { expect, test } from "@jest/globals";
import { readFileSync, rmSync, statSync } from "node:fs";
import { loadConfig } from "../../../libs/runtime/src/index.ts";
import { authConfig } from "../../../services/auth/src/config.ts";
import { config as billingConfig } from "../../../services/billing-ledger/src/config.ts";
import { edgeConfig } from "../../../services/dashboard/edge/config.ts";
import { gatewayConfig } from "../../../services/gateway-proxy/src/config.ts";
import { imageCacheConfig } from "../../../services/image-cache/src/config.ts";
import { keyRegistryConfig } from "../../../services/key-registry/src/config.ts";
import { telegramBonusConfig } from "../../../services/telegram-bonus/src/config.ts";
import { pathsOf } from "../paths.ts";
import { ensureSecrets } from "../secrets.ts";
import { databaseSecrets, services, type Wiring } from "../services.ts";
import { temporaryFolder } from "./_dummy.ts";

const requests = [...databaseSecrets(), ...services.flatMap((definition) => definition.secrets)];

test("secrets are made once, mode 0600, all different, and kept on the next start", () => {
  using folder = temporaryFolder();
  const paths = pathsOf(folder.path);
  const first = ensureSecrets(paths, requests);
  expect(first.made).toBe(requests.length);
  expect(statSync(paths.config).mode & 0o777).toBe(0o600);
  expect(new Set(requests.map(({ name }) => first.get(name))).size).toBe(requests.length);
  const text = readFileSync(paths.config, "utf8");
  const second = ensureSecrets(paths, requests);
  expect([second.made, second.kept]).toEqual([0, requests.length]);
  expect(readFileSync(paths.config, "utf8")).toBe(text);
});

test("given data that was made with a lost config.json, then the start is refused and nothing new is written", () => {
  using folder = temporaryFolder();
  const paths = pathsOf(folder.path);
  ensureSecrets(paths, requests);
  rmSync(paths.config);
  expect(() => ensureSecrets(paths, requests)).toThrow("cannot be opened");
  expect(statSync(paths.config, { throwIfNoEntry: false })).toBeUndefined();
});

test("the environment of every service in the table satisfies the service's own configuration", () => {
  using folder = temporaryFolder();
  const secrets = ensureSecrets(pathsOf(folder.path), requests);
  const wiring: Wiring = {
    publicOrigin: "http://localhost:8080",
    natsUrl: (user) => `nats://${user}:word@127.0.0.1:8142`,
    redisUrl: (user) => `redis://${user}:word@127.0.0.1:8163`,
    dataFolder: (name) => `${folder.path}/${name}`,
    databaseUrl: (schema, role) => `postgres://${schema}_${role}:word@127.0.0.1:8132/codex`,
    secret: secrets.get,
    url: () => "http://127.0.0.1:8101",
    port: (name) => (name.endsWith(".admin") ? 8201 : 8101),
  };
  const load: Readonly<Record<string, (source: Readonly<Record<string, string>>) => unknown>> = {
    auth: (source) => loadConfig(authConfig, source),
    "key-registry": (source) => loadConfig(keyRegistryConfig, source),
    "billing-ledger": (source) => loadConfig(billingConfig, source),
    "image-cache": (source) => loadConfig(imageCacheConfig, source),
    "telegram-bonus": (source) => loadConfig(telegramBonusConfig, source),
    "gateway-proxy": (source) => loadConfig(gatewayConfig, source),
    dashboard: (source) => loadConfig(edgeConfig, source),
  };
  const ours = services.filter(({ name }) => name !== "demo-upstream");
  expect(Object.keys(load)).toEqual(ours.map(({ name }) => name));
  for (const { name, env } of ours) expect(load[name]?.(env(wiring))).toMatchObject({ common: { httpPort: 8101 } });
});
