import * as auth from "@codex/auth";
import * as billing from "@codex/billing-ledger";
import { connectBus, type Bus } from "@codex/bus";
import { grantCommand } from "@codex/contracts";
import * as dashboard from "@codex/dashboard";
import { readConfig, startDemoUpstream, type RunningDemoUpstream } from "@codex/demo-upstream";
import * as gateway from "@codex/gateway-proxy";
import * as images from "@codex/image-cache";
import * as keys from "@codex/key-registry";
import { newId, type AccountId } from "@codex/kernel";
import { loadConfig, startInProcess, type InProcessService } from "@codex/runtime";
import { serverUsers } from "@codex/setup";
import * as bonus from "@codex/telegram-bonus";
import {
  createDatabase,
  eventually,
  freePort,
  makeRedisUsers,
  startNats,
  testInfra,
  type PrivateNats,
  type TestDatabase,
  testLogger,
  urlAs,
} from "@codex/testkit";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Browser } from "./_browser.ts";
import { startGatewayProcess, type GatewayHandle } from "./_gateway-process.ts";

/**
 * The whole platform on infrastructure of its own: every service by its exported start, entered through the edge as a
 * client or a browser would. Only money comes in by the bus, by the same command that other services use.
 */

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const secret = (letter: string): string => `${letter}1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e`;

export interface World {
  /** http://localhost:<port>, the edge. */
  readonly origin: string;
  readonly database: TestDatabase;
  readonly nats: PrivateNats;
  readonly bus: Bus;
  readonly upstream: RunningDemoUpstream;
  readonly gateway: GatewayHandle;
  readonly operator: Browser;
  /** By the machine's own command; the account's sessions end. */
  grantRole(email: string, role: "support" | "finance" | "admin"): Promise<void>;
  /** A new user with a balance (in micro-tokens, may be 0) and an API key. */
  customer(balanceMicroTokens: bigint): Promise<Customer>;
  restartGateway(): Promise<void>;
  /** With these settings over those it was started with. Sessions live on. */
  restartAuth(settings: Readonly<Record<string, string>>): Promise<void>;
  /** Another gateway of the same platform, in this process, with a spool of its own; stopped with the world. */
  anotherGateway(): Promise<InProcessService>;
  /** Where the gateway keeps its usage, the same over restarts. */
  readonly spoolDir: string;
  /** SIGKILL, and waits until it is gone. Only with `gatewayAsProcess`. */
  killGateway(): Promise<void>;
  /** After {@link killGateway}: the next life, on the same port and spool. */
  startGateway(): Promise<void>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  /** The gateway as a process of its own, so that it can be killed. */
  readonly gatewayAsProcess?: boolean;
  /** More settings of every gateway. */
  readonly gatewaySettings?: Readonly<Record<string, string>>;
  readonly authSettings?: Readonly<Record<string, string>>;
  readonly keySettings?: Readonly<Record<string, string>>;
}

export interface Customer {
  readonly browser: Browser;
  readonly accountId: AccountId;
  readonly apiKey: string;
  readonly keyId: string;
}

/** bcrypt's least. */
const bcryptCost = 4;

/** The same in every worker, because all share one Redis. */
const testPassword = (server: "nats" | "redis", name: string): string =>
  createHash("sha256").update(`${server}:${name}`).digest("hex");

const schemas = [
  { schema: auth.authSchema, migrations: auth.authMigrations },
  { schema: keys.keysSchema, migrations: keys.keyMigrations },
  { schema: billing.schema, migrations: billing.migrations },
  { schema: gateway.gatewaySchema, migrations: gateway.gatewayMigrations },
  { schema: images.imagesSchema, migrations: images.imageMigrations },
  { schema: bonus.bonusSchema, migrations: bonus.bonusMigrations },
];

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const database = await createDatabase({ service: schemas });
  const users = serverUsers(testPassword);
  const nats = await startNats({ users: users.nats });
  const { redisUrl } = testInfra();
  await makeRedisUsers(redisUrl, users.redis);
  const spool = mkdtempSync(join(tmpdir(), "codex-e2e-spool-"));
  const spools = [spool];
  const edgePort = await freePort();
  const origin = `http://localhost:${edgePort}`;
  const settings = (schema: string, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    NODE_ENV: "test",
    HTTP_PORT: "0",
    ADMIN_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    DATABASE_URL: database.urlFor("app", schema),
    // Each service with its own rights and no more, as in a deployment.
    NATS_URL: urlAs(nats.url, { name: schema, password: testPassword("nats", schema) }),
    REDIS_URL: urlAs(redisUrl, { name: schema, password: testPassword("redis", schema) }),
    PUBLIC_ORIGIN: origin,
    TRUSTED_PROXY_COUNT: "1",
    ...more,
  });
  const bus = await connectBus({ servers: [nats.url], name: "e2e" }, { logger: testLogger("test"), source: "e2e" });
  await bus.ensureTopology();
  const prices = join(root, "deploy/local/demo-prices.json");
  await run(
    process.execPath,
    ["--conditions=codex:source", join(root, "services/billing-ledger/src/import-prices.ts"), prices],
    {
      env: { ...settings(billing.schema), PATH: "" },
      timeout: 30_000,
    },
  );

  const upstream = await startDemoUpstream(
    readConfig({
      PORT: "0",
      DEMO_FIRST_BYTE_MS: "0",
      DEMO_TOKENS_PER_SECOND: "0",
      DEMO_SLOW_FIRST_BYTE_MS: "300",
      DEMO_SLOW_CHUNK_MS: "50",
    }),
  );
  const authSettings = settings(auth.authSchema, {
    // Fixed, so that the edge finds the next one as well.
    HTTP_PORT: (await freePort()).toString(),
    AUTH_SIGNING_SECRET: secret("a"),
    AUTH_PASSWORD_PEPPER: secret("b"),
    // Its counters are in the one Redis of all worlds, which must not count together: each has an "ops@example.org".
    AUTH_THROTTLE_KEY: randomBytes(32).toString("hex"),
    AUTH_DATA_KEY: secret("f"),
    AUTH_MAIL: "mailbox",
    AUTH_MAILS_PER_NETWORK_PER_HOUR: "100000",
    ...options.authSettings,
  });
  const startAuth = (more: Readonly<Record<string, string>> = {}): Promise<InProcessService> =>
    startInProcess({
      name: "auth",
      logger: testLogger("auth"),
      // The settings allow no less than 12, a third of a second for each of hundreds of sign-ins; what a hash costs is no
      // matter of these tests (see services/auth/tests).
      config: { ...loadConfig(auth.authConfig, { ...authSettings, ...more }), bcryptCost },
      start: auth.start,
    });
  let authService = await startAuth();
  const keyService = await startInProcess({
    name: "key-registry",
    logger: testLogger("key-registry"),
    config: loadConfig(keys.keyRegistryConfig, settings(keys.keysSchema, options.keySettings)),
    start: keys.start,
  });
  const billingService = await startInProcess({
    name: "billing-ledger",
    logger: testLogger("billing-ledger"),
    config: loadConfig(
      billing.config,
      settings(billing.schema, { BILLING_RECEIPT_KEY: secret("e"), USAGE_ROUND_MS: "100" }),
    ),
    start: billing.start,
  });
  const imageService = await startInProcess({
    name: "image-cache",
    logger: testLogger("image-cache"),
    config: loadConfig(images.imageCacheConfig, settings(images.imagesSchema)),
    start: images.start,
  });
  const bonusService = await startInProcess({
    name: "telegram-bonus",
    logger: testLogger("telegram-bonus"),
    config: loadConfig(bonus.telegramBonusConfig, settings(bonus.bonusSchema)),
    start: bonus.start,
  });
  const gatewayPort = await freePort();
  const gatewaySettings = settings(gateway.gatewaySchema, {
    HTTP_PORT: gatewayPort.toString(),
    GATEWAY_CHANNEL_KEY: secret("d"),
    GATEWAY_SPOOL_DIR: spool,
    ...options.gatewaySettings,
  });
  const startGateway = (): Promise<GatewayHandle> =>
    options.gatewayAsProcess === true
      ? startGatewayProcess(join(root, "services/gateway-proxy/src/main.ts"), gatewaySettings)
      : startInProcess({
          name: "gateway-proxy",
          logger: testLogger("gateway-proxy"),
          config: loadConfig(gateway.gatewayConfig, gatewaySettings),
          start: gateway.start,
        });
  /** Every life: a test that fails half-way must not leave one behind. */
  const lives: GatewayHandle[] = [];
  const nextLife = async (): Promise<GatewayHandle> => {
    const life = await startGateway();
    lives.push(life);
    return life;
  };
  let gatewayService = await nextLife();
  const edge = await startInProcess({
    name: "dashboard",
    logger: testLogger("dashboard"),
    config: loadConfig(dashboard.edgeConfig, {
      ...settings(auth.authSchema),
      HTTP_PORT: edgePort.toString(),
      AUTH_URL: authService.httpUrl ?? "",
      KEYS_URL: keyService.httpUrl ?? "",
      BILLING_URL: billingService.httpUrl ?? "",
      GATEWAY_URL: gatewayService.httpUrl ?? "",
      IMAGES_URL: imageService.httpUrl ?? "",
      BONUS_URL: bonusService.httpUrl ?? "",
    }),
    start: dashboard.start,
  });

  const operator = new Browser(origin);
  await operator.register("ops@example.org");
  const grantRole: World["grantRole"] = async (email, role) => {
    const program = join(root, "services/auth/src/grant-role.ts");
    await run(process.execPath, ["--conditions=codex:source", program, "--email", email, "--role", role], {
      env: { DATABASE_URL: database.urlFor("app", auth.authSchema) },
      timeout: 30_000,
    });
  };
  await grantRole("ops@example.org", "admin");
  await operator.signIn("ops@example.org");
  await operator.enrolTotp();
  const models = [
    "demo-small",
    "demo-large",
    "demo-tools",
    "demo-error-429",
    "demo-error-503",
    "demo-slow",
    "demo-midstream-cut",
    "demo-no-usage",
    "demo-hostile-usage",
  ];
  const channel = await operator.post("/api/gateway/channels", {
    name: "demo",
    kind: "demo",
    baseUrl: `${upstream.url}/v1`,
    secret: "demo-secret",
    models: Object.fromEntries(models.map((model) => [model, model])),
  });
  if (channel.status !== 201) throw new Error(`channel refused: ${JSON.stringify(channel.body)}`);

  let customers = 0;
  return {
    origin,
    database,
    nats,
    bus,
    upstream,
    get gateway() {
      return gatewayService;
    },
    operator,
    grantRole,
    async customer(balanceMicroTokens) {
      customers += 1;
      const browser = new Browser(origin);
      const accountId = await browser.register(`customer${customers}@example.org`);
      if (balanceMicroTokens > 0n) {
        await bus.publish(grantCommand, {
          params: { accountId },
          data: {
            accountId,
            bucket: "paid",
            amountMicroTokens: balanceMicroTokens,
            reason: "operator_grant",
            idempotencyKey: newId("evt"),
          },
        });
        await eventually(async () => (await browser.available()) === balanceMicroTokens, {
          what: "the grant to be booked",
        });
      }
      const created = await browser.post("/api/keys", { name: "e2e" });
      const { secret: apiKey, key } = created.body as { secret: string; key: { keyId: string } };
      return { browser, accountId, apiKey, keyId: key.keyId };
    },
    spoolDir: spool,
    async killGateway() {
      if (!gatewayService.kill)
        throw new Error("the gateway is no process of its own: start the world with gatewayAsProcess");
      await gatewayService.kill();
    },
    async startGateway() {
      gatewayService = await nextLife();
    },
    async anotherGateway() {
      const directory = mkdtempSync(join(tmpdir(), "codex-e2e-spool-"));
      spools.push(directory);
      const other = await startInProcess({
        name: "gateway-proxy",
        logger: testLogger("gateway-proxy"),
        config: loadConfig(gateway.gatewayConfig, {
          ...gatewaySettings,
          HTTP_PORT: "0",
          GATEWAY_SPOOL_DIR: directory,
          INSTANCE_ID: `gateway-${String(spools.length)}`,
        }),
        start: gateway.start,
      });
      lives.push(other);
      return other;
    },
    async restartAuth(more) {
      await authService.stop();
      authService = await startAuth(more);
    },
    async restartGateway() {
      await gatewayService.stop();
      gatewayService = await nextLife();
    },
    async stop() {
      for (const service of [edge, ...lives, bonusService, imageService, billingService, keyService, authService])
        await service.stop();
      await upstream.close();
      await bus.drain();
      await nats.stop();
      await database.drop();
      for (const directory of spools) rmSync(directory, { recursive: true, force: true });
    },
  };
}
