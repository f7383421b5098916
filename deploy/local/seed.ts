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

const seedState = z.object({ keyId: z.string(), apiKey: z.string() });

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
  const account = await ensureAccount(user, demoUserEmail, options.userPassword, "Demo");
  const ops = await ensureOperator(operator, options);
  await ensurePrices(user, options.signal);
  await ensureChannel(operator, options.demoUpstreamUrl);
  const balance = await ensureBalance(user, account, options);
  const key = await ensureKey(user, options.stateFile);
  return {
    user,
    accountId: account.accountId,
    operatorAccountId: ops.accountId,
    apiKey: key,
    keyPrefix: displayPrefix(key),
    detail: `operator, user with ${formatAmount(balance)} play tokens, key, prices, demo channel`,
  };
}

/** Signs in; registers first when the account is not there. */
async function ensureAccount(client: ApiClient, email: string, password: string, name: string): Promise<Account> {
  const known = await client.send("POST", "/api/auth/sign-in", { email, password });
  if (known.ok) return accountResponse.parse(JSON.parse(known.text)).account;
  if (known.status !== 401)
    throw new Problem(`Signing in as ${email} answered ${String(known.status)}: ${known.code}.`);
  const made = await client.send("POST", "/api/auth/register", { email, password, name });
  if (made.status === 409) {
    throw new Problem(
      `There is an account ${email} already, and the password in .codex/config.json does not open it.`,
      {
        hint: "Its data comes from elsewhere or its password was changed. To begin anew: npm run reset",
      },
    );
  }
  if (!made.ok) throw new Problem(`Registering ${email} answered ${String(made.status)}: ${made.code}.`);
  return accountResponse.parse(JSON.parse(made.text)).account;
}

async function ensureOperator(client: ApiClient, options: SeedOptions): Promise<Account> {
  const account = await ensureAccount(client, demoOperatorEmail, options.operatorPassword, "Operator");
  if (account.role === "admin") return account;
  await options.grantRole(demoOperatorEmail);
  // A change of role may end the sessions that were made before it.
  return ensureAccount(client, demoOperatorEmail, options.operatorPassword, "Operator");
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
async function ensureKey(user: ApiClient, stateFile: string): Promise<string> {
  const known = readJsonIfWhole(stateFile, seedState);
  if (known !== undefined) {
    const { keys } = await user.call("GET", "/api/keys", keyList);
    if (keys.some(({ keyId, status }) => keyId === known.keyId && status === "active")) return known.apiKey;
  }
  const { key, secret } = await user.call("POST", "/api/keys", keyCreated, { name: "demo" });
  writePrivateJson(stateFile, { keyId: key.keyId, apiKey: secret });
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
