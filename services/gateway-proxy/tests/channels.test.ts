import { auditLineList, type Channel } from "@codex/contracts";
import { describe, expect, test } from "@jest/globals";
import { answered, ChannelWorld, live, path } from "./_channel-world.ts";
import { answerWell, refuse, ScriptedUpstream, type Script } from "./_scripted-upstream.ts";
import { asOperator, send, type Answer } from "./_world.ts";

// What an operator does with channels, live at every worker.

const channels = new ChannelWorld();
const { upstream, operate, freshModel, connect, change, health } = channels;

describe("a change is live without a restart, at every worker", () => {
  test("given another address, model name or state, then the next requests go by it; given a stale version, then 409", async () => {
    const { model, ask } = freshModel();
    const [first, second] = [await upstream(), await upstream()];
    const other = await channels.world.startGateway();
    const created = await connect(model, first);
    await answered(ask);
    const changed = await change(created, { baseUrl: second.url, models: { [model]: "renamed" } });
    expect(changed.version).toBe(created.version + 1);
    for (const gateway of [channels.world.gateway, other]) {
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
      const answer = await send(channels.world.gateway, method, url, {
        headers: asOperator(channels.world.auth, role),
        body,
      });
      expect([method, url, answer.status]).toEqual([method, url, 403]);
    }
    expect((await send(channels.world.gateway, method, url, { body })).status).toBe(401);
  }
});
