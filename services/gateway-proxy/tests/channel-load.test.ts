import type { Channel } from "@codex/contracts";
import { describe, expect, test } from "@jest/globals";
import { answered, ChannelWorld, live, path } from "./_channel-world.ts";
import { answerWell, refuse } from "./_scripted-upstream.ts";

// How load is spread over keys and channels, and what bounds it.

const channels = new ChannelWorld();
const { upstream, operate, freshModel, connect, health } = channels;

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
  const made: Channel[] = [];
  for (const each of all) made.push(await connect(model, each, { secret: "sk-a" }));
  for (const { channelId } of made) {
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
    const other = await channels.world.startGateway();
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
