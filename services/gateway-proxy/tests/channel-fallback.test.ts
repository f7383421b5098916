import { describe, expect, test } from "@jest/globals";
import { answered, ChannelWorld, live } from "./_channel-world.ts";
import { answerWell, refuse, type Script } from "./_scripted-upstream.ts";
import { send } from "./_world.ts";

// When a channel fails: another is asked, and the broken one rests.

const channels = new ChannelWorld();
const { upstream, freshModel, connect, health } = channels;

describe("what a model does not do", () => {
  test.each([404, 403, 405])(
    "given a model in use, when somebody asks it ten times for embeddings and the provider says %i, then he gets 400 and all others their answers",
    async (status) => {
      const { model, ask } = freshModel();
      const { apiKey } = channels.world.customer(10n ** 12n);
      const only = await upstream();
      only.script = (call, res) => (call.path.endsWith("/embeddings") ? refuse(status) : answerWell)(call, res);
      const channel = await connect(model, only);
      await answered(ask);
      for (let time = 0; time < 10; time += 1) {
        const headers = { authorization: `Bearer ${apiKey}` };
        const refused = await send(channels.world.gateway, "POST", "/v1/embeddings", {
          headers,
          body: { model, input: "hi" },
        });
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
        () => Promise.resolve(channels.world.billing.usage(accountId).length === good.calls.length),
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
