import type { KeyLimits } from "@codex/contracts";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import type { KeyRestrictions } from "./_stand-ins.ts";
import { chat, send, startWorld, type Answer, type World } from "./_world.ts";

// Limits, models and addresses of a key, as clients meet them.

const leaks = leakCheck();
let world: World;
const plenty = 100_000_000_000n;

beforeAll(async () => {
  world = await startWorld({}, ["demo-large", "demo-length-3000"]);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function keyWith(restrictions: KeyRestrictions, balance = plenty): string {
  return world.keys.issue(world.customer(balance).accountId, undefined, restrictions);
}

const limitedTo = (limits: Partial<KeyLimits>): string =>
  keyWith({ limits: { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null, ...limits } });

function messages(apiKey: string, more: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
  return send(world.gateway, "POST", "/v1/messages", {
    headers: { "x-api-key": apiKey, "anthropic-version": "2023-06-01" },
    body: { model: "demo-small", max_tokens: 20, messages: [{ role: "user", content: "hi" }], ...more },
  });
}

const list = (apiKey: string, gateway = world.gateway): Promise<Answer> =>
  send(gateway, "GET", "/v1/models", { headers: { authorization: `Bearer ${apiKey}` } });

const left = (answer: Answer, name: "requests" | "tokens"): number =>
  Number(answer.headers.get(`x-ratelimit-remaining-${name}`));

function limitHeadersOf({ headers }: Answer): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].filter(([name]) => /ratelimit/.test(name)));
}

describe("headers", () => {
  const dialects = [
    ["openai", chat, (apiKey: string, more = {}) => chat(world.gateway, apiKey, more)],
    ["anthropic", messages, messages],
  ] as const;

  const duration = /^(\d+ms|\d+s|\d+m\d+s)$/;
  const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

  function expectHeaders(dialect: "openai" | "anthropic", answer: Answer, requests: number): void {
    const names = dialect === "openai" ? "x-ratelimit-%-requests" : "anthropic-ratelimit-requests-%";
    const tokens = names.replace("requests", "tokens");
    const of = (name: string, what: string) => name.replace("%", what);
    const form = dialect === "openai" ? duration : instant;
    expect(limitHeadersOf(answer)).toEqual({
      [of(names, "limit")]: "3",
      [of(names, "remaining")]: String(requests),
      [of(names, "reset")]: expect.stringMatching(form),
      [of(tokens, "limit")]: "50000",
      [of(tokens, "remaining")]: expect.stringMatching(/^\d+$/),
      [of(tokens, "reset")]: expect.stringMatching(form),
    });
  }

  test.each(dialects)("%s: on an answer, an error, a stream and the refusal itself", async (dialect, _none, ask) => {
    const apiKey = limitedTo({ requestsPerMinute: 3, tokensPerMinute: 50_000 });
    const fine = await ask(apiKey);
    expect(fine.status).toBe(200);
    expectHeaders(dialect, fine, 2);
    const wrong = await ask(apiKey, { model: "demo-smal" });
    expect(wrong.status).toBe(404);
    expectHeaders(dialect, wrong, 1);
    const stream = await ask(apiKey, { stream: true });
    expect(stream.headers.get("content-type")).toContain("text/event-stream");
    expectHeaders(dialect, stream, 0);
    const startedAtMs = Date.now();
    const refused = await ask(apiKey);
    expect(refused.status).toBe(429);
    expectHeaders(dialect, refused, 0);
    expect(refused.headers.get("retry-after")).toMatch(/^(1\d|20)$/);
    expect(refused.headers.get("x-should-retry")).toBeNull();
    expect(refused.text).toContain("this API key may send 3 requests per minute");
    if (dialect === "openai") {
      expect(refused.body["error"]).toMatchObject({
        type: "rate_limit_error",
        code: "requests_per_minute_exceeded",
        metadata: { limit_source: "key", limit: 3 },
      });
    } else {
      expect(refused.body).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
      const resetMs = Date.parse(refused.headers.get("anthropic-ratelimit-requests-reset") ?? "");
      expect(resetMs - startedAtMs).toBeGreaterThan(40_000);
      expect(resetMs - startedAtMs).toBeLessThan(62_000);
    }
  });

  test("on 402, and none before the key is accepted", async () => {
    const poor = keyWith({}, 0n);
    const answer = await chat(world.gateway, poor);
    expect(answer.status).toBe(402);
    expect(left(answer, "requests")).toBe(599);
    const unknown = await chat(world.gateway, "sk-of-somebody-else");
    expect(unknown.status).toBe(401);
    expect(limitHeadersOf(unknown)).toEqual({});
  });
});

describe("requests a minute", () => {
  test("given bodies that are no requests, then they count like any other", async () => {
    const apiKey = limitedTo({ requestsPerMinute: 2 });
    const broken = () =>
      send(world.gateway, "POST", "/v1/chat/completions", {
        headers: { authorization: `Bearer ${apiKey}` },
        body: "{",
      });
    const statuses = [];
    for (let index = 0; index < 4; index += 1) statuses.push((await broken()).status);
    expect(statuses).toEqual([400, 400, 429, 429]);
  });

  test("given a refused key that goes on, then Redis hears nothing of it", async () => {
    const redis = new Redis(world.redisUrl);
    try {
      const calls = async (): Promise<number> =>
        Number(/cmdstat_time:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
      const apiKey = limitedTo({ requestsPerMinute: 1 });
      await list(apiKey);
      expect((await list(apiKey)).status).toBe(429);
      const before = await calls();
      const answers = await Promise.all(Array.from({ length: 200 }, () => list(apiKey)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([429]));
      // The worker's own beat and renewals may fall into this.
      expect((await calls()) - before).toBeLessThan(5);
    } finally {
      redis.disconnect();
    }
  });
});

describe("tokens a minute", () => {
  test("given an answer shorter than its bound, then it counts with the bound while it runs, and with what it used from its end on", async () => {
    const apiKey = limitedTo({ tokensPerMinute: 5_000 });
    const answer = await chat(world.gateway, apiKey, { max_tokens: 4_000 });
    expect(answer.status).toBe(200);
    expect(left(answer, "tokens")).toBeLessThan(1_100);
    const { total_tokens: used } = answer.body["usage"] as { total_tokens: number };
    const after = await list(apiKey);
    expect(left(after, "tokens")).toBeGreaterThanOrEqual(5_000 - used);
    expect(left(after, "tokens")).toBeGreaterThan(4_000);
  });

  test("given an answer longer than thought, then what it used beyond that counts from its end on", async () => {
    const apiKey = limitedTo({ tokensPerMinute: 2_000 });
    const answer = await chat(world.gateway, apiKey, { model: "demo-length-3000", max_tokens: undefined });
    expect(answer.status).toBe(200);
    expect(answer.body["usage"]).toMatchObject({ completion_tokens: 3_000 });
    expect(left(answer, "tokens")).toBeGreaterThan(900);
    // A thousand tokens above the limit: half a minute until there is room again, and a minute more for all of it.
    const refused = await chat(world.gateway, apiKey, { max_tokens: 1 });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(20);
    expect(refused.headers.get("x-ratelimit-reset-tokens")).toMatch(/^1m[23]\ds$/);
    expect(refused.headers.get("x-ratelimit-remaining-tokens")).toBe("0");
  });

  test("given a request that does not fit now, then 429 names the tokens and the wait; a failed one costs none", async () => {
    const apiKey = limitedTo({ tokensPerMinute: 6_000 });
    expect((await chat(world.gateway, apiKey, { model: "demo-error-500", max_tokens: 4_000 })).status).toBe(502);
    expect(left(await list(apiKey), "tokens")).toBe(6_000);
    const running = chat(world.gateway, apiKey, { model: "demo-slow", max_tokens: 4_000, stream: true });
    await eventually(async () => left(await list(apiKey), "tokens") < 2_500, { what: "the stream to be admitted" });
    const refused = await chat(world.gateway, apiKey, { max_tokens: 4_000 });
    expect(refused.status).toBe(429);
    expect(refused.body["error"]).toMatchObject({ code: "tokens_per_minute_exceeded", metadata: { limit: 6_000 } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(5);
    expect((await chat(world.gateway, apiKey, { max_tokens: 20 })).status).toBe(200);
    expect((await running).status).toBe(200);
    await eventually(async () => (await chat(world.gateway, apiKey, { max_tokens: 4_000 })).status === 200, {
      what: "what the stream did not use to be back",
    });
  });
});

describe("requests at the same time", () => {
  test("given one running, then the next is refused in both dialects, lists are not, and its end makes room", async () => {
    const apiKey = limitedTo({ concurrentRequests: 1 });
    const leave = new AbortController();
    const running = await fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
      method: "POST",
      signal: leave.signal,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "demo-slow", stream: true, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(running.status).toBe(200);
    const refused = await chat(world.gateway, apiKey);
    expect(refused.status).toBe(429);
    expect(refused.body["error"]).toMatchObject({ code: "concurrent_requests_exceeded", metadata: { limit: 1 } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await messages(apiKey)).status).toBe(429);
    expect((await list(apiKey)).status).toBe(200);
    leave.abort();
    await eventually(async () => (await chat(world.gateway, apiKey)).status === 200, { what: "the slot to be free" });
    // Ended and answered, one after the other: the slot is free before the client can ask again.
    for (let index = 0; index < 20; index += 1) expect((await chat(world.gateway, apiKey)).status).toBe(200);
  });
});

describe("addresses", () => {
  const table: readonly (readonly [allowed: string, from: string, isAllowed: boolean])[] = [
    ["203.0.113.7", "203.0.113.7", true],
    ["203.0.113.7", "203.0.113.8", false],
    ["203.0.113.0/24", "203.0.113.255", true],
    ["203.0.113.0/24", "203.0.114.0", false],
    ["203.0.113.77/24", "203.0.113.1", true],
    ["0.0.0.0/0", "198.51.100.1", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["203.0.113.7", "::ffff:203.0.113.7", true],
    ["203.0.113.7", "::ffff:cb00:7107", true],
    ["::ffff:203.0.113.0/120", "203.0.113.9", true],
    ["::ffff:203.0.113.0/120", "203.0.114.9", false],
    ["2001:db8::/32", "2001:DB8:ffff::1", true],
    ["2001:db8::/32", "2001:db9::1", false],
    ["2001:db8::1", "2001:0db8:0:0:0:0:0:1", true],
    ["2001:db8::1", "2001:db8::1%eth0", true],
    // What the client wrote itself stands further left, and is not believed.
    ["203.0.113.7", "203.0.113.7, 198.51.100.1", false],
    ["203.0.113.7", "198.51.100.1, 203.0.113.7", true],
    // No address from the proxy: the proxy itself is the client.
    ["203.0.113.7", "nonsense", false],
    ["127.0.0.1", "nonsense", true],
  ];

  test("given one proxy, then what it saw decides", async () => {
    const behind = await world.startGateway({ TRUSTED_PROXY_COUNT: "1" });
    for (const [allowed, from, isAllowed] of table) {
      const apiKey = keyWith({ allowedIps: ["192.0.2.1", allowed] });
      const answer = await send(behind, "GET", "/v1/key", {
        headers: { authorization: `Bearer ${apiKey}`, "x-forwarded-for": from },
      });
      expect([allowed, from, answer.status]).toEqual([allowed, from, isAllowed ? 200 : 403]);
      if (!isAllowed) expect(answer.body["error"]).toMatchObject({ code: "key_not_allowed" });
    }
  });

  test("given no proxy, then the header is nobody's word; a refusal takes nothing of the key's limits", async () => {
    const apiKey = keyWith({ allowedIps: ["203.0.113.7"] });
    const forged = await send(world.gateway, "GET", "/v1/key", {
      headers: { authorization: `Bearer ${apiKey}`, "x-forwarded-for": "203.0.113.7" },
    });
    expect(forged.status).toBe(403);
    expect(forged.text).toContain("127.0.0.1");
    expect(limitHeadersOf(forged)).toEqual({});
    const local = keyWith({ allowedIps: ["127.0.0.0/8", "::1"] });
    expect((await list(local)).status).toBe(200);
  });
});

test("given a list of models, then others are refused by name, and not listed", async () => {
  const apiKey = keyWith({ models: ["demo-small"] });
  expect((await chat(world.gateway, apiKey)).status).toBe(200);
  const refused = await chat(world.gateway, apiKey, { model: "demo-large" });
  expect(refused.status).toBe(403);
  expect(refused.body["error"]).toMatchObject({ code: "model_not_allowed" });
  expect((await list(apiKey)).body["data"]).toMatchObject([{ id: "demo-small" }]);
});

test("given limits of the key, then GET /v1/key tells what holds, within the operator's", async () => {
  const apiKey = limitedTo({ requestsPerMinute: 100_000, tokensPerMinute: 1_000 });
  const answer = await send(world.gateway, "GET", "/v1/key", { headers: { authorization: `Bearer ${apiKey}` } });
  expect(answer.body["data"]).toMatchObject({
    limits: { requests_per_minute: 600, tokens_per_minute: 1_000, concurrent_requests: 100 },
  });
});

test("given two keys of an account at two gateways, then the account's limit holds for both together", async () => {
  const settings = { GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "4" };
  const gateways = [await world.startGateway(settings), await world.startGateway(settings)];
  const { accountId } = world.customer(plenty);
  const keys = [world.keys.issue(accountId), world.keys.issue(accountId)];
  for (const gateway of gateways)
    await eventually(async () => left(await list(world.customer(plenty).apiKey, gateway), "requests") === 3, {
      what: "the gateway to be connected to Redis",
    });
  const answers = [];
  for (let index = 0; index < 6; index += 1) answers.push(await list(keys[index % 2]!, gateways[(index >> 1) % 2]));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429, 429]);
  expect(answers[5]?.body["error"]).toMatchObject({ metadata: { limit_source: "account", limit: 4 } });
});

test("given registries of the version before, then their keys work, without limits of their own", async () => {
  const apiKey = limitedTo({ requestsPerMinute: 1 });
  await world.keys.stop();
  world.keys.isOld = true;
  await world.keys.start();
  try {
    expect((await list(apiKey)).status).toBe(200);
    expect(left(await list(apiKey), "requests")).toBe(598);
  } finally {
    await world.keys.stop();
    world.keys.isOld = false;
    await world.keys.start();
  }
});
