import { keyRevocations } from "@codex/contracts";
import { hashApiKey } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { answerWell, ScriptedUpstream } from "./_scripted-upstream.ts";
import { asOperator, channelBody, chat, send, startWorld, type World } from "./_world.ts";

// SEC-37: what runs with a key when it is revoked. The upstream says nothing more, so nothing but the revocation ends it.

const leaks = leakCheck();
let world: World;
let upstream: ScriptedUpstream;
const plenty = 100_000_000_000n;

beforeAll(async () => {
  world = await startWorld({}, [], ["scripted"]);
  upstream = await ScriptedUpstream.start();
  const channel = { ...channelBody("scripted", world.upstream, ["scripted"]), baseUrl: upstream.url };
  const created = await send(world.gateway, "POST", "/api/gateway/channels", {
    headers: asOperator(world.auth),
    body: channel,
  });
  expect(created.status).toBe(201);
  await eventually(async () => (await ask(world.customer(plenty).apiKey)).status === 200, { what: "the channel" });
}, 60_000);

beforeEach(() => {
  upstream.script = answerWell;
});

afterAll(async () => {
  await upstream.close();
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const ask = (apiKey: string, more: object = {}) => chat(world.gateway, apiKey, { model: "scripted", ...more });

const delta = (content: string): string =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "scripted", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;

/** Says this much and then nothing, until the gateway goes. Answers when it has said it, and when the gateway has gone. */
function silentAfter(text: string, length = 1) {
  const said = Promise.withResolvers<undefined>();
  const gone = Promise.withResolvers<number>();
  upstream.script = (_call, res) => {
    res.once("close", () => gone.resolve(performance.now()));
    if (text !== "") {
      res.writeHead(200, { "content-type": "text/event-stream" });
      for (let index = 0; index < length; index += 1) res.write(delta(text));
    }
    said.resolve(undefined);
  };
  return { said: said.promise, gone: gone.promise };
}

const chargeOf = async (accountId: Parameters<World["billing"]["usage"]>[0]) =>
  eventually(
    () => {
      const rows = world.billing.usage(accountId);
      return rows.length > 0 && rows;
    },
    { what: "the charge" },
  );

describe("SEC-37 given a key is revoked while a request of it runs", () => {
  test("and the upstream is silent in the middle of a stream, then the stream ends with an error, the upstream is left, and what was delivered is charged", async () => {
    const { accountId, apiKey } = world.customer(plenty);
    const { said, gone } = silentAfter("a word that was delivered ");
    const answer = ask(apiKey, { stream: true });
    await said;
    await eventually(() => world.billing.balance(accountId).reserved > 0n, { what: "the hold" });
    const revokedMs = performance.now();
    await world.keys.revoke(apiKey);
    const { status, text } = await answer;
    expect(status).toBe(200);
    expect(text).toContain("a word that was delivered");
    expect(text).toContain('"code":"key_revoked"');
    expect(text).not.toContain("[DONE]");
    expect((await gone) - revokedMs).toBeLessThan(5_000);
    const rows = await chargeOf(accountId);
    expect(rows).toMatchObject([{ status: "upstream_cut", errorCode: "key_revoked", estimated: true }]);
    expect(rows[0]?.costMicroTokens).toBeGreaterThan(0n);
    expect(JSON.stringify(rows, (_name, value: unknown) => String(value))).not.toContain(hashApiKey(apiKey));
  }, 30_000);

  test("and the upstream has not answered yet, then 401, the upstream is left, and nothing is charged", async () => {
    const { accountId, apiKey } = world.customer(plenty);
    const { said, gone } = silentAfter("");
    const answer = ask(apiKey);
    await said;
    await world.keys.revoke(apiKey);
    expect(await answer).toMatchObject({ status: 401, body: { error: { code: "key_revoked" } } });
    await gone;
    expect(await chargeOf(accountId)).toMatchObject([{ costMicroTokens: 0n, errorCode: "key_revoked" }]);
  }, 30_000);

  test("and its client does not read, then the connection is cut, and what was delivered is charged", async () => {
    const { accountId, apiKey } = world.customer(plenty);
    const { said, gone } = silentAfter("x".repeat(60_000), 400);
    const stalled = await fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "scripted", stream: true, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(stalled.status).toBe(200);
    await said;
    const revokedMs = performance.now();
    await world.keys.revoke(apiKey);
    expect((await gone) - revokedMs).toBeLessThan(5_000);
    const rows = await chargeOf(accountId);
    expect(rows[0]?.costMicroTokens).toBeGreaterThan(0n);
    await stalled.body?.cancel().catch(() => undefined);
  }, 30_000);

  test("and the tombstone is lost, then asking again finds it, and the stream ends within 5 s", async () => {
    const { accountId, apiKey } = world.customer(plenty);
    const { said } = silentAfter("a word ");
    const answer = ask(apiKey, { stream: true });
    await said;
    const revokedMs = performance.now();
    world.keys.revokeInSilence(apiKey);
    expect((await answer).text).toContain('"code":"key_revoked"');
    // The bound is 5 s; twice of it for a machine that has other things to do.
    expect(performance.now() - revokedMs).toBeLessThan(10_000);
    expect(await chargeOf(accountId)).toMatchObject([{ errorCode: "key_revoked" }]);
    const bucket = await world.bus.kv(keyRevocations);
    expect(await bucket.get(hashApiKey(apiKey))).toBeNull();
  }, 30_000);
});
