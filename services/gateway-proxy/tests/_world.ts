import { connectBus, type Bus } from "@codex/bus";
import { priceBookKey, priceBookKv, type ModelPrice } from "@codex/contracts";
import { readConfig, startDemoUpstream, type RunningDemoUpstream } from "@codex/demo-upstream";
import { newId, type AccountId } from "@codex/kernel";
import { loadConfig, startInProcess, type InProcessService } from "@codex/runtime";
import {
  createDatabase,
  startInfra,
  startNats,
  testInfra,
  testLogger,
  type PrivateNats,
  type TestDatabase,
} from "@codex/testkit";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatewayConfig, gatewayMigrations, gatewaySchema, start } from "../src/index.ts";
import { AuthStandIn, BillingStandIn, KeysStandIn } from "./_stand-ins.ts";

export const origin = "http://localhost:8080";
export const upstreamSecret = "sk-demo-upstream-4711";
/** A request of 1 kB and 4,096 tokens of answer costs at most about five tokens of balance. */
const rate = 1_000_000_000n;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface World {
  readonly database: TestDatabase;
  readonly nats: PrivateNats;
  readonly bus: Bus;
  readonly auth: AuthStandIn;
  readonly keys: KeysStandIn;
  readonly billing: BillingStandIn;
  readonly upstream: RunningDemoUpstream;
  readonly gateway: InProcessService;
  /** Another gateway on the same database and bus, with a spool of its own; stopped with the world. */
  startGateway(more?: Readonly<Record<string, string>>): Promise<InProcessService>;
  /** An account with a balance in micro-tokens, and a key of it. */
  customer(balanceMicroTokens: bigint): { readonly accountId: AccountId; readonly apiKey: string };
  readonly redisUrl: string;
  stopRedis(): Promise<void>;
  stop(): Promise<void>;
}

export async function send(
  gateway: InProcessService,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const { body, headers } = options;
  const response = await fetch(`${gateway.httpUrl ?? ""}${path}`, {
    method,
    signal: AbortSignal.timeout(20_000),
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (isJson ? JSON.parse(text) : {}) as Answer["body"],
  };
}

export function chat(
  gateway: InProcessService,
  apiKey: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  return send(gateway, "POST", "/v1/chat/completions", {
    headers: { authorization: `Bearer ${apiKey}` },
    body: { model: "demo-small", max_tokens: 20, messages: [{ role: "user", content: "hi" }], ...more },
  });
}

export function channelBody(name: string, upstream: RunningDemoUpstream, models: readonly string[]) {
  return {
    name,
    kind: "demo",
    baseUrl: `${upstream.url}/v1`,
    secret: upstreamSecret,
    models: Object.fromEntries(models.map((model) => [model, model])),
  };
}

export function asOperator(auth: AuthStandIn, role: "user" | "support" | "admin" = "admin"): Record<string, string> {
  return { cookie: `__Host-cx=${auth.signIn(role)}`, origin, "x-cx-csrf": "1" };
}

const models = ["demo-small", "demo-slow", "demo-length-9", "demo-length-11", "demo-malformed-200", "demo-error-500"];

/** "3 demo-error-401" is another model on another channel, of which the upstream knows "demo-error-401". */
function upstreamModelOf(model: string): string {
  return model.replace(/^\S+ /, "");
}

/** `extra`: models besides the usual ones, on the first channel; a text is a model at the usual price. `priced`: without a channel. */
export async function startWorld(
  more: Readonly<Record<string, string>> = {},
  extra: readonly (string | ModelPrice)[] = [],
  priced: readonly (string | ModelPrice)[] = [],
): Promise<World> {
  const priceFor = (one: string | ModelPrice): ModelPrice => (typeof one === "string" ? priceOf(one) : one);
  const extraPrices = extra.map(priceFor);
  const database = await createDatabase({ service: [{ schema: gatewaySchema, migrations: gatewayMigrations }] });
  const nats = await startNats();
  const folders: string[] = [];
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), "codex-gateway-"));
    folders.push(made);
    return made;
  };
  const { postgresUrl, natsUrl } = testInfra();
  const given = { postgresUrl, natsUrl };
  const redis = await startInfra({ dataDir: folder(), persistent: false, given, log: () => undefined });
  const bus = await connectBus({ servers: [nats.url], name: "test" }, { logger: testLogger("test"), source: "test" });
  await bus.ensureTopology();
  await (
    await bus.kv(priceBookKv)
  ).put(priceBookKey, {
    version: newId("prc"),
    effectiveAt: new Date().toISOString(),
    groups: [],
    models: [...[...models, ...priced].map(priceFor), ...extraPrices],
  });
  const auth = await AuthStandIn.start(nats.url, origin);
  const keys = await KeysStandIn.start(nats.url);
  const billing = await BillingStandIn.start(nats.url);
  const upstream = await startDemoUpstream(
    readConfig({
      DEMO_UPSTREAM_KEY: upstreamSecret,
      DEMO_FIRST_BYTE_MS: "0",
      DEMO_TOKENS_PER_SECOND: "0",
      DEMO_SLOW_FIRST_BYTE_MS: "300",
      DEMO_SLOW_CHUNK_MS: "50",
    }),
  );
  const gateways: InProcessService[] = [];
  const startGateway = async (extra: Readonly<Record<string, string>> = {}): Promise<InProcessService> => {
    const gateway = await startInProcess({
      name: "gateway-proxy",
      config: loadConfig(gatewayConfig, {
        NODE_ENV: "test",
        HTTP_PORT: "0",
        ADMIN_PORT: "0",
        SHUTDOWN_GRACE_MS: "0",
        INSTANCE_ID: `gateway-${String(gateways.length)}`,
        DATABASE_URL: database.urlFor("app", gatewaySchema),
        NATS_URL: nats.url,
        REDIS_URL: redis.redisUrl,
        PUBLIC_ORIGIN: origin,
        GATEWAY_CHANNEL_KEY: "d1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
        GATEWAY_SPOOL_DIR: folder(),
        ...more,
        ...extra,
      }),
      start,
      logger: testLogger("gateway-proxy"),
    });
    gateways.push(gateway);
    return gateway;
  };
  const gateway = await startGateway();
  const create = async (body: unknown): Promise<void> => {
    const created = await send(gateway, "POST", "/api/gateway/channels", { headers: asOperator(auth), body });
    if (created.status !== 201) throw new Error(`channel refused: ${created.text}`);
  };
  const extraModels = extraPrices.map(({ model }) => model);
  const alone = extraModels.filter(
    (model) => upstreamModelOf(model) !== model || /^demo-(error|overloaded)/.test(model),
  );
  await create(
    channelBody("demo", upstream, [
      "demo-small",
      "demo-slow",
      "demo-malformed-200",
      "demo-error-500",
      ...extraModels.filter((model) => !alone.includes(model)),
    ]),
  );
  // A refusal may make the channel's key rest, and the others must not suffer for it.
  for (const model of alone)
    await create({ ...channelBody(model, upstream, []), models: { [model]: upstreamModelOf(model) }, priority: 10 });
  return {
    database,
    nats,
    bus,
    auth,
    keys,
    billing,
    upstream,
    gateway,
    startGateway,
    customer(balanceMicroTokens) {
      const accountId = newId("acc");
      billing.fund(accountId, balanceMicroTokens);
      return { accountId, apiKey: keys.issue(accountId) };
    },
    redisUrl: redis.redisUrl,
    stopRedis: () => redis.stop(),
    async stop() {
      for (const running of gateways) await running.stop();
      await Promise.all([auth.close(), keys.close(), billing.close(), upstream.close(), bus.drain()]);
      await redis.stop();
      await nats.stop();
      await database.drop();
      for (const made of folders) rmSync(made, { recursive: true, force: true });
    },
  };
}

/** The usual price: a thousand micro-tokens a token of any class, nothing else. */
export function priceOf(model: string, more: Partial<ModelPrice> = {}): ModelPrice {
  return {
    model,
    displayName: model,
    contextTokens: 32_768,
    outputTokensMax: 4_096,
    rates: {
      input: rate,
      cachedInput: rate,
      cacheWrite: rate,
      cacheWrite1h: rate,
      output: rate,
      reasoning: rate,
    },
    perRequest: 0n,
    perImage: [],
    perAudioSecond: 0n,
    tiers: [],
    offPeak: [],
    ...more,
  };
}
