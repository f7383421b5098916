import { formatAmount, newId, uuidToId } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { request } from "node:http";
import { recordOf, requestIdOf } from "./_streams.ts";
import { chat, send, startWorld, type World } from "./_world.ts";

// What a key can ask besides answers: models in both forms, itself, its account, one request; probes and upgrades.

const leaks = leakCheck();
let world: World;
let apiKey: string;
const plenty = 100_000_000_000n;

beforeAll(async () => {
  world = await startWorld({}, ["demo-large", "demo-tools"]);
  ({ apiKey } = world.customer(plenty));
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function get(path: string, headers: Record<string, string> = {}) {
  return send(world.gateway, "GET", path, { headers: { authorization: `Bearer ${apiKey}`, ...headers } });
}

const anthropic = { "anthropic-version": "2023-06-01" };

test("GET /v1/models: OpenAI's list with prices as text; Anthropic's pages when its version header is there", async () => {
  const list = (await get("/v1/models")).body as { data: { id: string; pricing: { prompt: string } }[] };
  expect(list.data.map(({ id }) => id)).toContain("demo-large");
  expect(list.data[0]?.pricing.prompt).toBe("0.001");
  const whole = (await get("/v1/models?limit=1000", anthropic)).body as { data: { id: string }[] };
  expect(whole).toMatchObject({ has_more: false, data: expect.arrayContaining([]) });
  expect(whole.data[0]).toEqual({
    type: "model",
    id: expect.any(String),
    display_name: expect.any(String),
    created_at: "1970-01-01T00:00:00Z",
  });
  const ids: string[] = [];
  let after = "";
  for (let more = true; more;) {
    const page = (await get(`/v1/models?limit=2${after}`, anthropic)).body;
    ids.push(...(page["data"] as { id: string }[]).map(({ id }) => id));
    after = `&after_id=${String(page["last_id"])}`;
    more = page["has_more"] === true;
  }
  expect(ids).toEqual(whole.data.map(({ id }) => id));
  const before = (await get(`/v1/models?limit=1&before_id=${ids[2]!}`, anthropic)).body;
  expect(before).toMatchObject({ first_id: ids[1], has_more: true });
  const wrong = await get("/v1/models?limit=0", anthropic);
  expect(wrong.status).toBe(400);
  expect(wrong.body).toMatchObject({ type: "error" });
  expect((await get("/v1/models/demo-large", anthropic)).body).toMatchObject({ type: "model", id: "demo-large" });
});

test("GET /v1/credits: what there is, exact, and nothing of anybody else", async () => {
  const { apiKey: other } = world.customer(1_500_000n);
  const answer = await get("/v1/credits", { authorization: `Bearer ${other}` });
  expect(answer.body).toMatchObject({ data: { paid: "1.500000", available: "1.500000", currency: "token" } });
});

test("GET /v1/credits: what came in and what was spent in all, whose difference is the balance; asked of billing once in a while", async () => {
  const customer = world.customer(500_000_000n);
  const { costMicroTokens } = await recordOf(world, await chat(world.gateway, customer.apiKey));
  const before = world.billing.totalsAsked;
  const ask = () => get("/v1/credits", { authorization: `Bearer ${customer.apiKey}` });
  const { data } = (await ask()).body as { data: Record<string, unknown> };
  expect(data).toMatchObject({
    total_credits: 500,
    total_usage: Number(costMicroTokens) / 1e6,
    credited: "500.000000",
    spent: formatAmount(costMicroTokens),
    balance: formatAmount(500_000_000n - costMicroTokens),
  });
  await Promise.all(Array.from({ length: 10 }, ask));
  expect(world.billing.totalsAsked).toBe(before + 1);
});

test("GET /v1/key: caps and what is left of them; null, not zero, where spending is not counted", async () => {
  const uncapped = (await get("/v1/key")).body["data"];
  expect(uncapped).toMatchObject({ limit: null, limit_remaining: null, usage: null, currency: "token" });
  const { accountId } = world.customer(plenty);
  const capped = world.keys.issue(accountId, { daily: null, monthly: 500_000_000n, total: null });
  const answer = await chat(world.gateway, capped);
  const { costMicroTokens } = await recordOf(world, answer);
  const left = (await get("/v1/key", { authorization: `Bearer ${capped}` })).body["data"];
  expect(left).toMatchObject({
    limit: 500,
    limit_reset: "monthly",
    limit_remaining: Number(500_000_000n - costMicroTokens) / 1e6,
    usage_monthly: Number(costMicroTokens) / 1e6,
  });
});

test("GET /v1/generation: a settled request with its cost; 404 with retry-after while it may come yet", async () => {
  const answer = await chat(world.gateway, apiKey);
  const record = await recordOf(world, answer);
  const id = requestIdOf(answer.headers);
  for (const spelling of [id, id.replace("req_", "gen_")]) {
    expect((await get(`/v1/generation?id=${spelling}`)).body["data"]).toMatchObject({
      id,
      model: "demo-small",
      status: "ok",
      native_tokens_prompt: record.tokens.input,
      total_cost: Number(record.costMicroTokens) / 1e6,
    });
  }
  const other = world.customer(plenty);
  const foreign = await get(`/v1/generation?id=${id}`, { authorization: `Bearer ${other.apiKey}` });
  expect(foreign.status).toBe(404);
  expect(foreign.body["error"]).toMatchObject({ code: "generation_not_found" });
  const young = await get(`/v1/generation?id=${newId("req")}`);
  expect(young.headers.get("retry-after")).toBe("1");
  const old = await get(`/v1/generation?id=${uuidToId("req", "01900000-0000-7000-8000-000000000000")}`);
  expect(old.headers.get("retry-after")).toBeNull();
  expect((await get("/v1/generation?id=1")).status).toBe(400);
});

test("billing away: what needs it answers 503, and says when to come again", async () => {
  await world.billing.stop();
  const answer = await get("/v1/credits");
  expect(answer.status).toBe(503);
  await world.billing.start();
  await eventually(async () => (await get("/v1/credits")).status === 200, { what: "billing to be back" });
});

test.each(["/", "/api/hello"])("HEAD %s: somebody is there, without a key", async (path) => {
  expect((await send(world.gateway, "HEAD", path)).status).toBe(200);
});

function upgrade(path: string, protocol: string): Promise<{ status: number; upgradeHeader: string | undefined }> {
  return new Promise((resolve, reject) => {
    const ask = request(`${world.gateway.httpUrl ?? ""}${path}`, {
      headers: { connection: "Upgrade", upgrade: protocol, authorization: `Bearer ${apiKey}` },
    });
    ask.on("response", (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0, upgradeHeader: response.headers.upgrade }));
    });
    ask.on("error", reject);
    ask.end();
  });
}

test("an upgrade to a websocket, or the bare GET a proxy makes of it, gets 426; an h2c offer is served as if it were not there", async () => {
  expect(await upgrade("/v1/responses", "websocket")).toMatchObject({ status: 426 });
  expect((await get("/v1/responses")).status).toBe(426);
  expect(await upgrade("/v1/models", "h2c")).toMatchObject({ status: 200 });
});

test.each([
  ["POST", "/v1/v1/chat/completions", "remove /v1 from the base URL"],
  ["POST", "/v1/v1/messages", "Claude Code add /v1 by themselves"],
  ["POST", "/chat/completions", "the base URL of OpenAI's clients ends in /v1"],
  ["POST", "/messages", "lacks /v1"],
  ["POST", "/v1/chat/completion", "Did you mean /v1/chat/completions"],
])("%s %s: 404 with a hint, in the dialect that was meant", async (method, path, hint) => {
  const answer = await send(world.gateway, method, path, { headers: { authorization: `Bearer ${apiKey}` }, body: {} });
  expect(answer.status).toBe(404);
  expect(answer.text).toContain(hint);
  expect(answer.body["type"]).toBe(path.includes("messages") ? "error" : undefined);
});
