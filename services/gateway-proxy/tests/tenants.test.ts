import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { dial, RealtimeClient, realtimePrices } from "./_realtime.ts";
import { answerWell, ScriptedUpstream } from "./_scripted-upstream.ts";
import type { KeyRestrictions } from "./_stand-ins.ts";
import { asOperator, send, startWorld, type Answer, type World } from "./_world.ts";

// What one customer has of another one: nothing (SEC-95, SEC-97); and that no way of sending a key goes around its limits (SEC-38).

const leaks = leakCheck();
let world: World;
let scripted: ScriptedUpstream;
const plenty = 100_000_000_000n;

beforeAll(async () => {
  const [text, sound] = realtimePrices("demo-realtime");
  world = await startWorld({ GATEWAY_ACCOUNT_CONCURRENT_REQUESTS: "8" }, [text], [sound, "shared", "held"]);
  scripted = await ScriptedUpstream.start();
  for (const name of ["shared", "held"]) {
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: {
        name,
        kind: "openai",
        egress: "private",
        baseUrl: scripted.url,
        secret: "sk-shared",
        models: { [name]: name },
      },
    });
    if (created.status !== 201) throw new Error(created.text);
  }
}, 60_000);

afterAll(async () => {
  await world.stop();
  await scripted.close();
  await leaks.assertClean();
}, 30_000);

const body = { model: "shared", max_tokens: 20, messages: [{ role: "user", content: "The same words" }] };

function ask(apiKey: string, more: object = {}): Promise<Answer> {
  return send(world.gateway, "POST", "/v1/chat/completions", {
    headers: { authorization: `Bearer ${apiKey}` },
    body: { ...body, ...more },
  });
}

describe("SEC-95 two customers behind one account of the provider", () => {
  test("given the same prompt from both, then each is asked anew, and the provider can tell them apart without knowing them", async () => {
    scripted.script = answerWell;
    const [one, other] = [world.customer(plenty), world.customer(plenty)];
    for (const { apiKey } of [one, other, one]) expect((await ask(apiKey)).status).toBe(200);
    const users = scripted.calls.map((call) => call.body["safety_identifier"]);
    expect(users).toHaveLength(3);
    expect(users[0]).toMatch(/^u_[0-9a-f]{32}$/);
    expect(users[2]).toBe(users[0]);
    expect(users[1]).not.toBe(users[0]);
    const seen = JSON.stringify(scripted.calls);
    for (const secret of [one, other].flatMap(({ accountId, apiKey }) => [accountId, apiKey]))
      expect(seen).not.toContain(secret);
    await eventually(
      () => world.billing.usage(one.accountId).length === 2 && world.billing.usage(other.accountId).length === 1,
      { what: "each to be charged for what it asked" },
    );
  });

  test("given a client that names itself, then the provider hears our name for it alone", async () => {
    scripted.script = answerWell;
    scripted.calls.length = 0;
    const { apiKey } = world.customer(plenty);
    await ask(apiKey, { user: "victim", safety_identifier: "victim" });
    expect(scripted.calls).toHaveLength(1);
    expect(JSON.stringify(scripted.calls[0]?.body)).not.toContain("victim");
  });
});

describe("SEC-97 one customer who floods", () => {
  test("given fifty times what an account may have at a time, by several keys, then the rest is refused at once, and everybody else is served", async () => {
    const held: (() => void)[] = [];
    scripted.script = (call, res) => {
      if (call.model === "held") held.push(() => answerWell(call, res));
      else answerWell(call, res);
    };
    const { accountId, apiKey } = world.customer(plenty);
    const keys = [apiKey, ...Array.from({ length: 4 }, () => world.keys.issue(accountId))];
    const flood = Array.from({ length: 400 }, (_value, index) =>
      ask(keys[index % keys.length] ?? "", { model: "held" }),
    );
    const refused: Answer[] = [];
    for (const request of flood) void request.then((answer) => answer.status === 429 && refused.push(answer));
    await eventually(() => refused.length === 392 && held.length === 8, {
      what: "all but the account's share to be refused",
    });
    for (const answer of refused) {
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(answer.body["error"]).toMatchObject({ code: "concurrent_requests_exceeded" });
    }
    // While the eight still run.
    const others = Array.from({ length: 6 }, () => world.customer(plenty));
    const answers = await Promise.all(others.map((other) => ask(other.apiKey)));
    expect(answers.map(({ status }) => status)).toEqual(others.map(() => 200));
    expect(held).toHaveLength(8);
    for (const release of held) release();
    expect((await Promise.all(flood)).filter(({ status }) => status === 200)).toHaveLength(8);
  }, 60_000);
});

describe("SEC-38 what a key may do, whichever way it is sent", () => {
  const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null };
  const ways = {
    "Authorization: Bearer": (apiKey: string) => plain({ authorization: `Bearer ${apiKey}` }),
    "x-api-key": (apiKey: string) => plain({ "x-api-key": apiKey }),
    "a session by header": (apiKey: string) => session({ apiKey }),
    "a session by subprotocol": (apiKey: string) =>
      session({ protocols: ["realtime", `openai-insecure-api-key.${apiKey}`] }),
  };

  async function plain(headers: Record<string, string>) {
    const answer = await send(world.gateway, "POST", "/v1/chat/completions", {
      headers,
      body: { ...body, model: "demo-small" },
    });
    return { status: answer.status, code: (answer.body["error"] as { code?: string } | undefined)?.code };
  }

  async function session(options: Parameters<typeof dial>[1]) {
    const answer = await dial(world.gateway.httpUrl ?? "", options);
    if (!(answer instanceof RealtimeClient))
      return { status: answer.status, code: (answer.body["error"] as { code?: string }).code };
    answer.close();
    await answer.ended;
    return { status: 200, code: undefined };
  }

  const rules: readonly (readonly [string, KeyRestrictions, number, string | undefined])[] = [
    ["nothing forbids it", {}, 200, undefined],
    ["other models alone", { models: ["demo-slow"] }, 403, "model_not_allowed"],
    ["an end that is past", { expiresAt: "2026-01-01T00:00:00.000Z" }, 401, "key_expired"],
    ["another address alone", { allowedIps: ["192.0.2.0/24"] }, 403, "key_not_allowed"],
    ["this address and model", { allowedIps: ["127.0.0.1"], models: ["demo-small", "demo-realtime"] }, 200, undefined],
  ];
  const table = Object.entries(ways).flatMap(([way, send]) => rules.map((rule) => [way, ...rule, send] as const));

  test.each(table)("%s: given %s, then it is answered so", async (_way, _what, restrictions, status, code, by) => {
    const { accountId } = world.customer(plenty);
    expect(await by(world.keys.issue(accountId, undefined, restrictions))).toEqual({ status, code });
  });

  test.each(Object.entries(ways))(
    "%s: given two requests a minute, then the third one is refused",
    async (_way, by) => {
      scripted.script = answerWell;
      const { accountId } = world.customer(plenty);
      // A session counts itself and its first response.
      const once = world.keys.issue(accountId, undefined, { limits: { ...limits, requestsPerMinute: 2 } });
      await by(once);
      await by(once);
      expect(await by(once)).toEqual({ status: 429, code: "requests_per_minute_exceeded" });
    },
  );

  test.each(Object.entries(ways))(
    "%s: given fewer tokens a minute than were used, then the next one is refused",
    async (_way, by) => {
      const { accountId } = world.customer(plenty);
      const few = world.keys.issue(accountId, undefined, { limits: { ...limits, tokensPerMinute: 1_000 } });
      // An answer's bound counts until it ends: one above the whole limit takes all of it.
      const slow = send(world.gateway, "POST", "/v1/chat/completions", {
        headers: { authorization: `Bearer ${few}` },
        body: { model: "demo-slow", max_tokens: 4_000, messages: body.messages },
      });
      await eventually(async () => (await by(few)).code === "tokens_per_minute_exceeded", {
        what: "the tokens to be taken",
      });
      await slow;
    },
  );
});
