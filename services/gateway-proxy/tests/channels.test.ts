import { auditLineList, type Channel, type ChannelHealth } from "@codex/contracts";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { answerWell, refuse, ScriptedUpstream, type Script } from "./_scripted-upstream.ts";
import { asOperator, chat, send, startWorld, type Answer, type World } from "./_world.ts";

// Channels as customers meet them: each test has a model and channels of its own.

const path = "/api/gateway/channels";
const models = Array.from({ length: 40 }, (_, index) => `model-${String(index)}`);
const leaks = leakCheck();
let world: World;
const upstreams: ScriptedUpstream[] = [];
let nextModel = 0;

beforeAll(async () => {
  world = await startWorld(
    { GATEWAY_REQUESTS_PER_MINUTE: "100000", GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "100000" },
    [],
    models,
  );
}, 60_000);

afterEach(async () => {
  for (const upstream of upstreams.splice(0)) await upstream.close();
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

async function upstream(): Promise<ScriptedUpstream> {
  const made = await ScriptedUpstream.start();
  upstreams.push(made);
  return made;
}

function operate(method: string, at: string, body?: unknown): Promise<Answer> {
  return send(world.gateway, method, at, { headers: asOperator(world.auth), ...(body === undefined ? {} : { body }) });
}

/** A model nobody else uses, and how a customer asks for it. */
function freshModel() {
  const model = models[nextModel] ?? "";
  nextModel += 1;
  const { apiKey, accountId } = world.customer(10n ** 12n);
  const ask = (more: Readonly<Record<string, unknown>> = {}, gateway = world.gateway): Promise<Answer> =>
    chat(gateway, apiKey, { model, ...more });
  return { model, ask, accountId };
}

async function connect(
  model: string,
  to: ScriptedUpstream,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Channel> {
  const name = `${model}-${String(Math.random()).slice(2, 10)}`;
  const body = {
    name,
    kind: "openai-compatible",
    egress: "private",
    baseUrl: to.url,
    models: { [model]: "up" },
    ...more,
  };
  const made = await operate("POST", path, body);
  if (made.status !== 201) throw new Error(made.text);
  return made.body["channel"] as Channel;
}

async function change(channel: Channel, settings: Readonly<Record<string, unknown>>): Promise<Channel> {
  const changed = await operate("PATCH", `${path}/${channel.channelId}`, { version: channel.version, ...settings });
  if (changed.status !== 200) throw new Error(changed.text);
  return changed.body["channel"] as Channel;
}

async function health(channel: Channel): Promise<ChannelHealth> {
  return (await operate("GET", `${path}/${channel.channelId}/health`)).body as unknown as ChannelHealth;
}

const live = (work: () => Promise<boolean>, what: string, timeoutMs = 3_000): Promise<unknown> =>
  eventually(work, { timeoutMs, what });
const answered = (ask: () => Promise<Answer>): Promise<unknown> =>
  live(async () => (await ask()).status === 200, "the channel to be live");

describe("a change is live without a restart, at every worker", () => {
  test("given another address, model name or state, then the next requests go by it; given a stale version, then 409", async () => {
    const { model, ask } = freshModel();
    const [first, second] = [await upstream(), await upstream()];
    const other = await world.startGateway();
    const created = await connect(model, first);
    await answered(ask);
    const changed = await change(created, { baseUrl: second.url, models: { [model]: "renamed" } });
    expect(changed.version).toBe(created.version + 1);
    for (const gateway of [world.gateway, other]) {
      await live(async () => {
        await ask({}, gateway);
        return second.calls.at(-1)?.model === "renamed";
      }, "the new address");
      second.calls.length = 0;
    }
    const stale = await operate("PATCH", `${path}/${created.channelId}`, { version: created.version, priority: 5 });
    expect([stale.status, stale.body["code"]]).toEqual([409, "conflict"]);
    expect((await operate("POST", `${path}/${created.channelId}/disable`)).status).toBe(200);
    await live(async () => (await ask({}, other)).status === 404, "the disabled channel to be gone");
    expect((await operate("POST", `${path}/${created.channelId}/enable`)).status).toBe(200);
    await answered(() => ask({}, other));
  });

  test("given a channel is deleted, then only when it is disabled, and its keys go with it", async () => {
    const { model, ask } = freshModel();
    const channel = await connect(model, await upstream(), { secret: "sk-short-lived" });
    await answered(ask);
    const at = `${path}/${channel.channelId}`;
    expect((await operate("DELETE", at)).status).toBe(409);
    expect((await operate("POST", `${at}/disable`)).status).toBe(200);
    expect((await operate("DELETE", at)).status).toBe(204);
    for (const [method, suffix] of [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/enable"],
      ["GET", "/health"],
    ] as const) {
      expect((await operate(method, `${at}${suffix}`)).status).toBe(404);
    }
    await live(async () => (await ask()).status === 404, "the model to be gone");
  });
});

describe("what a model does not do", () => {
  test.each([404, 403, 405])(
    "given a model in use, when somebody asks it ten times for embeddings and the provider says %i, then he gets 400 and all others their answers",
    async (status) => {
      const { model, ask } = freshModel();
      const { apiKey } = world.customer(10n ** 12n);
      const only = await upstream();
      only.script = (call, res) => (call.path.endsWith("/embeddings") ? refuse(status) : answerWell)(call, res);
      const channel = await connect(model, only);
      await answered(ask);
      for (let time = 0; time < 10; time += 1) {
        const headers = { authorization: `Bearer ${apiKey}` };
        const refused = await send(world.gateway, "POST", "/v1/embeddings", { headers, body: { model, input: "hi" } });
        expect([refused.status, (refused.body["error"] as { code?: unknown }).code]).toEqual([
          400,
          "upstream_rejected",
        ]);
      }
      expect((await ask()).status).toBe(200);
      await live(async () => (await health(channel)).workers.length > 0, "its report", 10_000);
      for (const { report } of (await health(channel)).workers)
        expect(report).toMatchObject({ breakers: [], restingKeys: [] });
    },
  );

  test("given another channel does it, then that one answers", async () => {
    const { model, ask } = freshModel();
    const [chatOnly, both] = [await upstream(), await upstream()];
    await connect(model, chatOnly, { priority: 9 });
    await answered(ask);
    await connect(model, both, { priority: 1 });
    chatOnly.script = refuse(404);
    await live(async () => (await ask()).status === 200, "the other channel");
    expect(both.calls.length).toBeGreaterThan(0);
  });

  test("given it never served, then 404 counts against the channel as before", async () => {
    const { model, ask } = freshModel();
    const wrong = await upstream();
    wrong.script = refuse(404);
    const channel = await connect(model, wrong);
    await live(async () => (await ask()).status === 502, "the channel to be live");
    for (let time = 0; time < 5; time += 1) await ask();
    await live(
      async () => (await health(channel)).workers.some(({ report }) => report.breakers.length === 1),
      "an open breaker in its report",
      10_000,
    );
  });
});

describe("fallback before the first byte", () => {
  test.each<[string, Script]>([
    ["500", refuse(500)],
    ["503 with a wait", refuse(503, { "retry-after": "3" })],
    ["404", refuse(404)],
    ["a redirect", refuse(302, { location: "http://127.0.0.1:1/" })],
    ["401", refuse(401)],
    ["402", refuse(402)],
    ["429", refuse(429)],
    ["a connection that breaks", (_call, res) => void res.destroy()],
    ["a 200 that is no answer", (_call, res) => void res.end("no json")],
    ["silence", () => undefined],
  ])(
    "given the first channel answers with %s, then the next one answers, and the customer sees only that",
    async (_name, fault) => {
      const { model, ask, accountId } = freshModel();
      const [bad, good] = [await upstream(), await upstream()];
      bad.script = fault;
      await connect(model, good, { priority: 1 });
      await answered(ask);
      await connect(model, bad, { priority: 9, firstByteTimeoutMs: 300 });
      await live(async () => {
        const answer = await ask();
        expect([answer.status, answer.text.includes("own words")]).toEqual([200, false]);
        return bad.calls.length > 0;
      }, "the better channel");
      // Before the fallback, and no second time while the other one serves.
      expect(bad.calls).toHaveLength(1);
      await live(
        () => Promise.resolve(world.billing.usage(accountId).length === good.calls.length),
        "one charge an answer",
      );
    },
  );

  test("given one channel fails once, then it is asked again after a pause; given it goes on, then 502 and no third time", async () => {
    const { model, ask } = freshModel();
    const only = await upstream();
    await connect(model, only);
    await answered(ask);
    only.calls.length = 0;
    only.script = (call, res) => (only.calls.length === 1 ? refuse(500)(call, res) : answerWell(call, res));
    expect((await ask()).status).toBe(200);
    expect(only.calls).toHaveLength(2);
    only.calls.length = 0;
    only.script = refuse(500);
    const failed = await ask();
    expect([failed.status, (failed.body["error"] as { code?: unknown }).code]).toEqual([502, "upstream_error"]);
    expect(only.calls).toHaveLength(2);
  });

  test("given the answer breaks off after its first byte, then it is cut with an error and no other channel is asked", async () => {
    const { model, ask } = freshModel();
    const [bad, good] = [await upstream(), await upstream()];
    await connect(model, bad, { priority: 9 });
    await answered(ask);
    await connect(model, good, { priority: 1 });
    bad.script = (_call, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write('data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hal"}}]}\n\n', () => res.destroy());
    };
    const answer = await ask({ stream: true });
    expect(answer.text).toContain('"content":"Hal"');
    expect(answer.text).toContain('"error"');
    expect(answer.text).not.toContain("[DONE]");
    expect(good.calls).toHaveLength(0);
  });

  test("given headers and comments but no first word in time, then another channel answers", async () => {
    const { model, ask } = freshModel();
    const [mute, good] = [await upstream(), await upstream()];
    await connect(model, mute, { priority: 9, firstByteTimeoutMs: 400 });
    await connect(model, good, { priority: 1 });
    await answered(ask);
    good.script = (_call, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      const choices = [{ index: 0, delta: { content: "hi" }, finish_reason: "stop" }];
      res.end(`data: ${JSON.stringify({ id: "c", choices })}\n\ndata: [DONE]\n\n`);
    };
    let ticking: NodeJS.Timeout | undefined;
    mute.script = (_call, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      ticking = setInterval(() => res.write(": thinking\n\n"), 50);
      res.on("close", () => clearInterval(ticking));
    };
    const answer = await ask({ stream: true });
    expect([answer.status, answer.text.includes("[DONE]"), mute.calls.length > 0]).toEqual([200, true, true]);
  });
});

describe("the breaker of a channel and model", () => {
  test("given the customers' own faults, however many, then it stays closed and each is told at once, after one call", async () => {
    const { model, ask } = freshModel();
    const only = await upstream();
    const channel = await connect(model, only);
    await answered(ask);
    for (const status of [400, 413, 422]) {
      only.script = refuse(status);
      for (let time = 0; time < 10; time += 1) {
        only.calls.length = 0;
        expect((await ask()).status).toBe(400);
        expect(only.calls).toHaveLength(1);
      }
    }
    expect((await health(channel)).workers.flatMap(({ report }) => report.breakers)).toEqual([]);
    only.script = answerWell;
    expect((await ask()).status).toBe(200);
  });

  test("given it fails, then it opens: nothing is sent, 503 says when; then one request tries, and it closes; other models go on", async () => {
    const broken = freshModel();
    const whole = freshModel();
    const only = await upstream();
    const channel = await connect(broken.model, only, { models: { [broken.model]: "bad", [whole.model]: "good" } });
    await answered(broken.ask);
    only.script = (call, res) => (call.model === "bad" ? refuse(500) : answerWell)(call, res);
    await live(async () => (await broken.ask()).status === 503, "the breaker to open");
    only.calls.length = 0;
    const refused = await broken.ask();
    expect([refused.status, only.calls.length]).toEqual([503, 0]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await whole.ask()).status).toBe(200);
    await live(
      async () => (await health(channel)).workers.some(({ report }) => report.breakers[0]?.state === "open"),
      "the health view to tell",
    );
    only.script = answerWell;
    await live(async () => (await broken.ask()).status === 200, "the breaker to let a trial through", 20_000);
    expect((await broken.ask()).status).toBe(200);
  }, 40_000);
});

describe("several keys", () => {
  test("given one is over its rate, then it rests for as long as the upstream asked and the others serve; given all are, 429", async () => {
    const { model, ask } = freshModel();
    const only = await upstream();
    const channel = await connect(model, only, { secret: "sk-one" });
    const more = await operate("POST", `${path}/${channel.channelId}/keys`, { label: "second", secret: "sk-two" });
    expect(more.status).toBe(201);
    expect(more.text).not.toContain("sk-two");
    await live(async () => {
      await ask({ prompt_cache_key: String(only.calls.length) });
      return new Set(only.calls.map(({ key }) => key)).size === 2;
    }, "both keys to be used");
    only.script = (call, res) =>
      call.key === "sk-one" ? refuse(429, { "retry-after": "6" })(call, res) : answerWell(call, res);
    const atMs = performance.now();
    // What it answered well before says nothing.
    only.calls.length = 0;
    await live(async () => {
      expect((await ask({ prompt_cache_key: String(only.calls.length) })).status).toBe(200);
      return only.calls.some(({ key }) => key === "sk-one");
    }, "the first key to be refused");
    only.calls.length = 0;
    for (let time = 0; time < 20; time += 1) expect((await ask({ prompt_cache_key: String(time) })).status).toBe(200);
    expect(only.calls.every(({ key }) => key === "sk-two")).toBe(true);
    await live(async () => {
      const resting = (await health(channel)).workers.flatMap(({ report }) => report.restingKeys);
      return resting[0]?.reason === "rate_limited";
    }, "the health view to tell");
    only.script = answerWell;
    await live(
      async () => {
        await ask({ prompt_cache_key: String(only.calls.length) });
        return only.calls.at(-1)?.key === "sk-one";
      },
      "the first key to be asked again",
      20_000,
    );
    expect(performance.now() - atMs).toBeGreaterThan(5_900);
    only.script = refuse(429, { "retry-after": "30" });
    const limited = await ask();
    expect([limited.status, (limited.body["error"] as { code?: unknown }).code]).toEqual([
      429,
      "upstream_rate_limited",
    ]);
    only.calls.length = 0;
    const again = await ask();
    expect([again.status, only.calls.length]).toEqual([429, 0]);
    expect(Number(again.headers.get("retry-after"))).toBeGreaterThan(20);
  }, 20_000);

  test("given a key is rejected, then another serves, and the customer never hears of it; switched off, it is not used", async () => {
    const { model, ask } = freshModel();
    const only = await upstream();
    const channel = await connect(model, only, { secret: "sk-revoked" });
    const added = await operate("POST", `${path}/${channel.channelId}/keys`, { label: "good", secret: "sk-good" });
    const keys = (added.body["channel"] as Channel).keys;
    only.script = (call, res) => (call.key === "sk-good" ? answerWell : refuse(401))(call, res);
    await answered(ask);
    for (let time = 0; time < 5; time += 1) {
      expect((await ask({ prompt_cache_key: String(time) })).status).toBe(200);
    }
    const good = keys.find(({ label }) => label === "good");
    const at = `${path}/${channel.channelId}/keys/${good?.keyId ?? ""}`;
    expect((await operate("PATCH", at, { enabled: false })).status).toBe(200);
    await live(async () => (await ask()).status === 503, "the good key to be off");
    expect((await operate("DELETE", at)).status).toBe(200);
    expect((await operate("DELETE", at)).status).toBe(404);
  });
});

test("given sessions, then each keeps its channel and key while they are healthy, and its customers' others spread", async () => {
  const { model, ask } = freshModel();
  const all = [await upstream(), await upstream(), await upstream()];
  const channels: Channel[] = [];
  for (const each of all) channels.push(await connect(model, each, { secret: "sk-a" }));
  for (const { channelId } of channels) {
    await operate("POST", `${path}/${channelId}/keys`, { label: "b", secret: "sk-b" });
  }
  const placeOf = async (session: string): Promise<string> => {
    for (const each of all) each.calls.length = 0;
    expect((await ask({ prompt_cache_key: session })).status).toBe(200);
    return all.map(({ calls }) => calls.map(({ key }) => key).join()).join("|");
  };
  let warm = 0;
  const asked = new Set<string>();
  await live(
    async () => {
      warm += 1;
      asked.add(await placeOf(`warm-up ${String(warm)}`));
      return asked.size === 6;
    },
    "every channel and key to be used",
    10_000,
  );
  const sessions = Array.from({ length: 12 }, (_, index) => `session ${String(index)}`);
  const first = new Map<string, string>();
  for (const session of sessions) first.set(session, await placeOf(session));
  expect(new Set(first.values()).size).toBeGreaterThan(2);
  for (const session of sessions) expect(await placeOf(session)).toBe(first.get(session));
}, 20_000);

describe("bounds", () => {
  test("given a bound of running requests, then what is above it goes to the next channel", async () => {
    const { model, ask } = freshModel();
    const [narrow, wide] = [await upstream(), await upstream()];
    const channel = await connect(model, narrow, { priority: 9, concurrencyMax: 2 });
    await answered(ask);
    await connect(model, wide, { priority: 1 });
    await live(async () => (await operate("GET", path)).text.includes(wide.url), "the second channel");
    const held: (() => void)[] = [];
    narrow.script = (call, res) => void held.push(() => answerWell(call, res));
    const running = [ask(), ask()];
    await live(() => Promise.resolve(held.length === 2), "two to be running");
    await live(async () => (await health(channel)).running === 2, "the health view to tell");
    const spilled = await Promise.all([ask(), ask(), ask()]);
    expect(spilled.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect([held.length, wide.calls.length]).toEqual([2, 3]);
    for (const end of held) end();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    narrow.script = answerWell;
    narrow.calls.length = 0;
    expect((await ask()).status).toBe(200);
    expect(narrow.calls).toHaveLength(1);
  });

  test("given a budget in requests and one in tokens, then it is spent once over all workers, and the health view tells how much", async () => {
    const other = await world.startGateway();
    for (const bound of [{ dailyRequestsMax: 3 }, { dailyBudget: "0.006" }]) {
      const { model, ask } = freshModel();
      const only = await upstream();
      const channel = await connect(model, only, bound);
      await answered(() => ask({}, other));
      for (let time = 0; time < 2; time += 1) expect((await ask({}, other)).status).toBe(200);
      await live(async () => (await ask()).status === 503, "the other worker to hear of it", 5_000);
      const seen = only.calls.length;
      expect((await ask({}, other)).status).toBe(503);
      expect(only.calls).toHaveLength(seen);
      await live(async () => {
        const told = await health(channel);
        return told.requestsToday === seen && Number(told.spentToday) > 0;
      }, "the health view to tell");
    }
  }, 30_000);
});

test("given a drain, then nothing new is taken, what runs ends well, and then the channel is disabled; the log says who did what", async () => {
  const { model, ask } = freshModel();
  const only = await upstream();
  const channel = await connect(model, only);
  await answered(ask);
  const held: (() => void)[] = [];
  only.script = (call, res) => void held.push(() => answerWell(call, res));
  const running = ask();
  await live(() => Promise.resolve(held.length === 1), "one to be running");
  const at = `${path}/${channel.channelId}`;
  const drained = await operate("POST", `${at}/drain`);
  expect((drained.body["channel"] as Channel).state).toBe("draining");
  await live(async () => (await ask()).status === 503, "the drain to be live");
  expect(held).toHaveLength(1);
  const stateNow = async (): Promise<string> => ((await operate("GET", at)).body["channel"] as Channel).state;
  const sinceMs = performance.now();
  const aRound = async (): Promise<boolean> => {
    expect(await stateNow()).toBe("draining");
    return performance.now() - sinceMs > 7_000;
  };
  await live(aRound, "a round of looking after drains, in which one is running", 10_000);
  held[0]?.();
  expect((await running).status).toBe(200);
  await live(async () => (await stateNow()) === "disabled", "the drain to end", 20_000);
  await live(async () => (await ask()).status === 404, "the model to be gone");
  const acts = (await operate("GET", `/api/gateway/channel-acts?channelId=${channel.channelId}`)).body["acts"];
  expect(acts).toMatchObject([
    { act: "channel.disabled", actorId: null },
    { act: "channel.draining", actorId: expect.stringMatching(/^acc_/) as unknown },
    { act: "channel.created", channelName: channel.name, change: { baseUrl: only.url } },
  ]);
  // SEC-147: the same in the chained log.
  const { body } = await operate("GET", "/api/gateway/operator/audit?limit=200");
  const { lines } = auditLineList.parse(body);
  const ours = lines.filter(({ target }) => target === channel.channelId);
  expect(ours.map(({ action, actorId, accountId }) => [action, actorId !== null, accountId])).toEqual([
    ["channel.disabled", false, null],
    ["channel.draining", true, null],
    ["channel.created", true, null],
  ]);
  expect(ours[2]?.details).toMatchObject({ channelName: channel.name, baseUrl: only.url });
  expect(JSON.stringify(body)).not.toContain("sk-");
}, 60_000);

describe("the test button", () => {
  const breakOff: Script = (_call, res) => {
    res.destroy();
  };
  const answerWithHtml: Script = (_call, res) => {
    res.end("<html>");
  };
  const tried = async (channel: Channel, body: unknown = {}): Promise<Answer["body"]> => {
    const at = `${path}/${channel.channelId}/test`;
    await live(async () => (await operate("POST", at, body)).status === 200, "the channel to be known");
    return (await operate("POST", at, body)).body;
  };

  test("given each way to answer, then it is one real small request, and one plain sentence without a word of the upstream's", async () => {
    const { model } = freshModel();
    const only = await upstream();
    const channel = await connect(model, only, { secret: "sk-tested" });
    expect(await tried(channel)).toMatchObject({ ok: true, model, httpStatus: 200, keyId: channel.keys[0]?.keyId });
    expect(only.calls.at(-1)).toMatchObject({ model: "up", key: "sk-tested", body: { max_tokens: 16 } });
    for (const [script, httpStatus, reason] of [
      [refuse(401), 401, /does not accept the key/],
      [refuse(429), 429, /rate limit/],
      [refuse(429, {}, "insufficient_quota"), 429, /no money/],
      [refuse(404), 404, /model/],
      [refuse(301, { location: "http://127.0.0.1:1/" }), 301, /redirects/],
      [refuse(500), 500, /failed/],
      [breakOff, null, /broke off/],
      [answerWithHtml, 200, /no answer/],
    ] as const) {
      only.script = script;
      const result = await tried(channel);
      expect(result).toMatchObject({ ok: false, httpStatus, reason: expect.stringMatching(reason) as unknown });
      expect(JSON.stringify(result)).not.toContain("own words");
    }
    // It told, and changed nothing.
    expect((await health(channel)).workers.flatMap(({ report }) => report.restingKeys)).toEqual([]);
    expect(await tried(channel, { model: "unknown" })).toMatchObject({ ok: false, httpStatus: null });
  });

  test("given nobody listens, or a channel of Anthropic's kind, then it says so, and asks in that dialect", async () => {
    const { model } = freshModel();
    const gone = await ScriptedUpstream.start();
    const dead = await connect(model, gone);
    await gone.close();
    expect(await tried(dead)).toMatchObject({ ok: false, reason: expect.stringMatching(/Nothing listens/) as unknown });
    const only = await upstream();
    const claude = await connect(model, only, { kind: "anthropic", secret: "sk-ant" });
    await tried(claude);
    expect(only.calls.at(-1)).toMatchObject({
      path: "/v1/messages",
      headers: { "x-api-key": "sk-ant", "anthropic-version": "2023-06-01" },
    });
  });
});

describe("addresses", () => {
  test.each([
    ["plain http", { baseUrl: "http://api.example.com/v1" }],
    ["this machine", { baseUrl: "https://127.0.0.1/v1" }],
    ["a private network", { baseUrl: "https://10.0.0.1/v1", egress: "public" }],
    ["the metadata service, with every permission", { baseUrl: "http://169.254.169.254/v1", egress: "private" }],
    ["a host that is not the vendor's", { kind: "openai", baseUrl: "https://evil.example/v1" }],
    ["credentials in it", { baseUrl: "https://a:b@api.example.com/v1" }],
    ["none, of a kind that has none", {}],
  ])("400: %s", async (_name, more) => {
    const body = { name: `refused ${_name}`, kind: "openai-compatible", models: {}, secret: "sk-x", ...more };
    const answer = await operate("POST", path, body);
    expect([answer.status, answer.body["code"]]).toEqual([400, "invalid_request"]);
  });

  test("given a name that resolves to this machine, then it is saved, but never connected to", async () => {
    const { model } = freshModel();
    const only = await upstream();
    const { port } = new URL(only.url);
    const body = {
      name: "rebinding",
      kind: "openai-compatible",
      models: { [model]: "up" },
      baseUrl: `https://localtest.invalid:${port}`,
    };
    expect((await operate("POST", path, body)).status).toBe(201);
    const channel = await connect(model, only, { egress: "private" });
    const narrowed = await operate("PATCH", `${path}/${channel.channelId}`, {
      version: channel.version,
      egress: "public",
    });
    expect(narrowed.status).toBe(400);
    expect(only.calls).toHaveLength(0);
  });
});

test("403 for everybody but an administrator, on every route; 401 without a session", async () => {
  const channel = await connect(freshModel().model, await upstream());
  const at = `${path}/${channel.channelId}`;
  for (const [method, url, body] of [
    ["GET", at, undefined],
    ["PATCH", at, { version: 1 }],
    ["DELETE", at, undefined],
    ["POST", `${at}/enable`, undefined],
    ["POST", `${at}/disable`, undefined],
    ["POST", `${at}/drain`, undefined],
    ["POST", `${at}/keys`, { label: "x", secret: "sk-x" }],
    ["POST", `${at}/test`, {}],
    ["GET", `${at}/health`, undefined],
    ["GET", "/api/gateway/channel-health", undefined],
    ["GET", "/api/gateway/channel-acts", undefined],
    ["GET", "/api/gateway/operator/audit", undefined],
    ["POST", "/api/gateway/channel-keys/rewrap", undefined],
  ] as const) {
    for (const role of ["user", "support"] as const) {
      const answer = await send(world.gateway, method, url, { headers: asOperator(world.auth, role), body });
      expect([method, url, answer.status]).toEqual([method, url, 403]);
    }
    expect((await send(world.gateway, method, url, { body })).status).toBe(401);
  }
});
