import { channelsKv, channelsKey } from "@codex/contracts";
import { openDb } from "@codex/db";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { gatewaySchema } from "../src/index.ts";
import type { GatewayTables } from "../src/store/schema.ts";
import { asOperator, channelBody, chat, send, startWorld, upstreamSecret, type World } from "./_world.ts";

const path = "/api/gateway/channels";
const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  world = await startWorld();
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function create(body: unknown, headers: Readonly<Record<string, string>> = asOperator(world.auth)) {
  return send(world.gateway, "POST", path, { body, headers });
}

describe("POST /api/gateway/channels", () => {
  test("201: the channel is told back without its secret, and listed", async () => {
    const created = await create({ ...channelBody("fresh", world.upstream, ["unpriced"]), priority: 7 });
    expect(created.status).toBe(201);
    expect(created.body["channel"]).toEqual({
      channelId: expect.stringMatching(/^chn_/) as unknown,
      version: 1,
      name: "fresh",
      kind: "demo",
      baseUrl: `${world.upstream.url}/v1`,
      egress: "private",
      apiVersion: null,
      models: { unpriced: "unpriced" },
      priority: 7,
      weight: 100,
      state: "enabled",
      firstByteTimeoutMs: null,
      betweenBytesTimeoutMs: null,
      concurrencyMax: null,
      dailyBudget: null,
      dailyRequestsMax: null,
      keys: [
        {
          keyId: expect.stringMatching(/^upk_/) as unknown,
          label: "default",
          enabled: true,
          keyVersion: 1,
          createdAt: expect.any(String) as unknown,
        },
      ],
      createdAt: expect.any(String) as unknown,
      updatedAt: expect.any(String) as unknown,
    });
    const listed = await send(world.gateway, "GET", path, { headers: asOperator(world.auth) });
    expect(listed.body["channels"]).toContainEqual(created.body["channel"]);
    expect(created.text + listed.text).not.toContain(upstreamSecret);
    expect(listed.text).not.toContain("sealed");
  });

  test("201 without a secret: there is no key", async () => {
    const created = await create({ ...channelBody("open", world.upstream, []), secret: null });
    expect(created.status).toBe(201);
    expect(created.body["channel"]).toMatchObject({ keys: [] });
  });

  test.each([
    ["an unknown field", { sealedSecret: "AA==" }, "invalid_request"],
    ["a URL of another protocol", { baseUrl: "file:///etc/passwd" }, "invalid_request"],
    ["an empty name", { name: "  " }, "invalid_request"],
    ["an empty secret", { secret: "" }, "invalid_request"],
    ["a fraction as priority", { priority: 1.5 }, "invalid_request"],
    ["a number as model", { models: { a: 1 } }, "invalid_request"],
  ])("400: %s", async (_name, change, code) => {
    const answer = await create({ ...channelBody("bad", world.upstream, []), ...change });
    expect([answer.status, answer.body["code"]]).toEqual([400, code]);
    expect(answer.text).not.toContain(upstreamSecret);
  });

  test("400: a body that is not JSON", async () => {
    const answer = await create(`{"secret":"${upstreamSecret}"`);
    expect([answer.status, answer.body["code"]]).toEqual([400, "malformed_json"]);
    expect(answer.text).not.toContain(upstreamSecret);
  });

  test("401: without a session, and with one that is not ours", async () => {
    const { cookie, ...rest } = asOperator(world.auth);
    expect((await create(channelBody("x", world.upstream, []), rest)).status).toBe(401);
    const forged = (cookie ?? "").replace(/.{4}$/, "AAAA");
    expect((await create(channelBody("x", world.upstream, []), { ...rest, cookie: forged })).status).toBe(401);
  });

  test.each(["user", "support"] as const)("403: for the role %s, in reading and in writing", async (role) => {
    const headers = asOperator(world.auth, role);
    expect((await create(channelBody("x", world.upstream, []), headers)).status).toBe(403);
    expect((await send(world.gateway, "GET", path, { headers })).status).toBe(403);
  });

  test("403: from another site", async () => {
    const headers = { ...asOperator(world.auth), origin: "https://evil.example" };
    expect((await create(channelBody("x", world.upstream, []), headers)).status).toBe(403);
  });

  test("409: a name that is taken; the first one stays as it is", async () => {
    const first = await create(channelBody("taken", world.upstream, []));
    const second = await create({ ...channelBody("taken", world.upstream, []), secret: "another", priority: 9 });
    expect([second.status, second.body["code"]]).toEqual([409, "conflict"]);
    const listed = await send(world.gateway, "GET", path, { headers: asOperator(world.auth) });
    expect(listed.body["channels"]).toContainEqual(first.body["channel"]);
  });

  test("409 for all but one of ten at once with the same name", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => create(channelBody("race", world.upstream, []))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
  });
});

describe("GET /api/gateway/channels", () => {
  test("401 without a session", async () => {
    expect((await send(world.gateway, "GET", path)).status).toBe(401);
  });

  test("503 when the session cannot be checked", async () => {
    const headers = asOperator(world.auth);
    await world.auth.stop();
    try {
      expect((await send(world.gateway, "GET", path, { headers })).status).toBe(503);
    } finally {
      await world.auth.start();
    }
  });
});

describe("the secret", () => {
  test("is nowhere in plaintext: not in the row, not on the bus; and it does reach the upstream", async () => {
    const db = openDb<GatewayTables>({
      url: world.database.urlFor("app", gatewaySchema),
      schema: gatewaySchema,
      applicationName: "test",
    });
    const rows = await db.kysely.selectFrom("upstream_key").selectAll().execute();
    const acts = await db.kysely.selectFrom("channel_act").selectAll().execute();
    await db.close();
    expect(rows.length).toBeGreaterThan(0);
    expect(acts.length).toBeGreaterThan(0);
    expect(JSON.stringify([rows, acts])).not.toContain(upstreamSecret);
    for (const { sealed_secret: sealed, wrapped_key: wrapped } of rows) {
      for (const envelope of [sealed, wrapped ?? ""]) {
        expect(Buffer.from(envelope, "base64").toString("latin1")).not.toContain(upstreamSecret);
      }
    }
    const bucket = await (await world.bus.kv(channelsKv)).get(channelsKey);
    expect(JSON.stringify(bucket?.value)).not.toContain(upstreamSecret);
    const { apiKey } = world.customer(1_000_000_000n);
    // The upstream lets in nobody without it.
    expect((await chat(world.gateway, apiKey)).status).toBe(200);
  });
});

describe("a second gateway", () => {
  test("serves a new channel's model without a restart, at once; and so does the first", async () => {
    const second = await world.startGateway();
    const { apiKey } = world.customer(1_000_000_000n);
    expect((await chat(second, apiKey, { model: "demo-length-9" })).status).toBe(404);
    const created = await create(channelBody("second", world.upstream, ["demo-length-9"]));
    expect(created.status).toBe(201);
    for (const gateway of [second, world.gateway]) {
      await eventually(async () => (await chat(gateway, apiKey, { model: "demo-length-9" })).status === 200, {
        timeoutMs: 1_000,
        what: "the new channel to be live",
      });
    }
  });

  test("that starts later has every channel from its start", async () => {
    const later = await world.startGateway();
    const { apiKey } = world.customer(1_000_000_000n);
    expect((await chat(later, apiKey)).status).toBe(200);
  });
});
