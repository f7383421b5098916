import { connectBus } from "@codex/bus";
import {
  accountResponse,
  balanceResponse,
  channelList,
  channelResponse,
  grantCommand,
  keyCreated,
  keyList,
  priceList,
  type Account,
} from "@codex/contracts";
import { displayPrefix, formatAmount, microTokensPerToken } from "@codex/kernel";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { ApiClient } from "./api-client.ts";
import { enrolTotp, ensureAccount } from "./demo-accounts.ts";
import { readJsonIfWhole, writePrivateJson } from "./files.ts";
import { Problem } from "./problem.ts";

/**
 * The demo profile: made through the public API and the contracts only, so that seeding is also a test of them. Every part
 * is looked for before it is made, so a second start changes nothing.
 */

export const demoUserEmail = "demo@codex.local";
export const demoOperatorEmail = "ops@codex.local";
/** What the demo user is given once, in tokens. */
const playTokens = 1_000n;
const playMicroTokens = playTokens * microTokensPerToken;

const operatorState = z.object({ totpSecret: z.string() });
const seedState = z.object({ keyId: z.string(), apiKey: z.string(), totpSecret: z.string().optional() });

export interface SeedOptions {
  readonly origin: string;
  readonly natsUrl: string;
  readonly demoUpstreamUrl: string;
  readonly stateFile: string;
  readonly userPassword: string;
  readonly operatorPassword: string;
  /** Gives the account of this address the operator's role; auth's one-shot command. */
  readonly grantRole: (email: string) => Promise<void>;
  readonly signal: AbortSignal;
}

export interface Seeded {
  readonly user: ApiClient;
  readonly accountId: string;
  readonly operatorAccountId: string;
  readonly operatorTotpSecret: string;
  readonly apiKey: string;
  readonly keyPrefix: string;
  readonly detail: string;
}

/** Public name → name at the demo provider. The faults are there too, so that everything can be tried by hand. */
const demoModels = [
  "demo-small",
  "demo-large",
  "demo-tools",
  "demo-reasoning",
  "demo-realtime",
  "demo-error-429",
  "demo-error-503",
  "demo-slow",
  "demo-midstream-cut",
  "demo-no-usage",
  "demo-hostile-usage",
] as const;

const visibleTimeoutMs = 10_000;
const visibleEveryMs = 50;

export async function seed(options: SeedOptions): Promise<Seeded> {
  const user = new ApiClient(options.origin, options.signal);
  const operator = new ApiClient(options.origin, options.signal);
  const person = { email: demoUserEmail, password: options.userPassword, name: "Demo" };
  const account = await ensureAccount(user, person, options.signal);
  const ops = await ensureOperator(operator, options);
  await ensurePrices(user, options.signal);
  await ensureChannel(operator, options.demoUpstreamUrl);
  const balance = await ensureBalance(user, account, options);
  const key = await ensureKey(user, options.stateFile, ops.totpSecret);
  return {
    user,
    accountId: account.accountId,
    operatorAccountId: ops.account.accountId,
    operatorTotpSecret: ops.totpSecret,
    apiKey: key,
    keyPrefix: displayPrefix(key),
    detail: `operator, user with ${formatAmount(balance)} play tokens, key, prices, demo channel`,
  };
}

/** An operator has its rights only with a second factor: an authenticator app whose secret this clone keeps (`npm run code`). */
async function ensureOperator(
  client: ApiClient,
  options: SeedOptions,
): Promise<{ readonly account: Account; readonly totpSecret: string }> {
  const known = readJsonIfWhole(options.stateFile, operatorState)?.totpSecret;
  const person = { email: demoOperatorEmail, password: options.operatorPassword, name: "Operator", totpSecret: known };
  const account = await ensureAccount(client, person, options.signal);
  if (account.role === "admin" && known !== undefined) return { account, totpSecret: known };
  if (!account.secondFactorDue) {
    await options.grantRole(demoOperatorEmail);
    // A change of role ends the sessions that were made before it.
    await ensureAccount(client, person, options.signal);
  }
  const totpSecret = await enrolTotp(client);
  writePrivateJson(options.stateFile, { totpSecret });
  return { account: (await client.call("GET", "/api/auth/me", accountResponse)).account, totpSecret };
}

async function ensurePrices(user: ApiClient, signal: AbortSignal): Promise<void> {
  await untilVisible("the price of demo-small", signal, async () => {
    const { models } = await user.call("GET", "/api/billing/prices", priceList);
    return models.some(({ model }) => model === "demo-small");
  });
}

async function ensureChannel(operator: ApiClient, demoUpstreamUrl: string): Promise<void> {
  const baseUrl = `${demoUpstreamUrl}/v1`;
  const { channels } = await operator.call("GET", "/api/gateway/channels", channelList);
  const known = channels.find(({ name }) => name === "demo");
  if (known?.baseUrl === baseUrl) return;
  if (known !== undefined) {
    throw new Problem(`The demo channel points to ${known.baseUrl}, but the demo provider is at ${baseUrl}.`, {
      hint: "Free the old port and start again, or begin anew with: npm run reset",
    });
  }
  const models = Object.fromEntries(demoModels.map((model) => [model, model]));
  await operator.call("POST", "/api/gateway/channels", channelResponse, {
    name: "demo",
    kind: "demo",
    baseUrl,
    secret: "demo-upstream-takes-any-key",
    models,
    priority: 0,
  });
}

/** The grant is a durable command with one idempotency key an account: however often it is sent, the money comes once. */
async function ensureBalance(user: ApiClient, account: Account, options: SeedOptions): Promise<bigint> {
  const owned = async (): Promise<bigint> => {
    const { paid, bonus } = await user.call("GET", "/api/billing/balance", balanceResponse);
    return paid + bonus;
  };
  const present = await owned();
  if (present > 0n) return present;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const bus = await connectBus(
    { servers: options.natsUrl.split(","), name: "launcher" },
    { logger: silent, source: "launcher" },
  );
  try {
    await bus.publish(grantCommand, {
      params: { accountId: account.accountId },
      data: {
        accountId: account.accountId,
        bucket: "paid",
        amountMicroTokens: playMicroTokens,
        reason: "demo_seed",
        idempotencyKey: `demo-seed-${account.accountId}`,
      },
    });
  } finally {
    await bus.drain();
  }
  await untilVisible("the play balance", options.signal, async () => (await owned()) > 0n);
  return owned();
}

/** The key of the last start while it is still active, else a new one. */
async function ensureKey(user: ApiClient, stateFile: string, totpSecret: string): Promise<string> {
  const known = readJsonIfWhole(stateFile, seedState);
  if (known !== undefined) {
    const { keys } = await user.call("GET", "/api/keys", keyList);
    if (keys.some(({ keyId, status }) => keyId === known.keyId && status === "active")) return known.apiKey;
  }
  const { key, secret } = await user.call("POST", "/api/keys", keyCreated, { name: "demo" });
  writePrivateJson(stateFile, { keyId: key.keyId, apiKey: secret, totpSecret });
  return secret;
}

async function untilVisible(what: string, signal: AbortSignal, check: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + visibleTimeoutMs;
  while (!(await check())) {
    if (performance.now() > deadlineMs)
      throw new Problem(`${what} did not appear within ${String(visibleTimeoutMs / 1000)} s.`);
    await delay(visibleEveryMs, undefined, { signal });
  }
}
