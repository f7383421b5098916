import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  classesOf,
  costOf,
  dial,
  notesOf,
  open,
  RealtimeClient,
  realtimePrices,
  refusal,
  rowsOf,
  sum,
  type Dial,
} from "./_realtime.ts";
import { asOperator, send, startWorld, type World } from "./_world.ts";
import { startWebSocketUpstream, type WebSocketUpstream } from "./_websocket-upstream.ts";

// Every way in which a session ends: who is told what, and what is charged.

const leaks = leakCheck();
let world: World;
let scripted: WebSocketUpstream;

const models = ["demo-realtime", "demo-midstream-cut-4", "demo-silence-6", "demo-slow-300ms"];
const priced = ["scripted", "doubled"];

beforeAll(async () => {
  const prices = [...models, ...priced].map((model) => ({ model, rows: realtimePrices(model) }));
  const rowOf = (names: readonly string[], row: 0 | 1) =>
    prices.filter(({ model }) => names.includes(model)).map(({ rows }) => rows[row]);
  world = await startWorld({}, rowOf(models, 0), [...rowOf(models, 1), ...rowOf(priced, 0), ...rowOf(priced, 1)]);
  scripted = await startWebSocketUpstream();
  const channel = async (body: object): Promise<void> => {
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: { kind: "openai", egress: "private", secret: "sk-scripted", ...body },
    });
    if (created.status !== 201) throw new Error(created.text);
  };
  await channel({
    name: "scripted",
    baseUrl: scripted.url,
    models: { scripted: "gpt-x", doubled: "gpt-x" },
    priority: 5,
  });
  await channel({
    name: "behind",
    kind: "demo",
    baseUrl: `${world.upstream.url}/v1`,
    secret: "sk-demo-upstream-4711",
    models: { doubled: "demo-realtime" },
  });
}, 60_000);

afterAll(async () => {
  await world.stop();
  await scripted.close();
  await leaks.assertClean();
}, 30_000);

const rich = 100_000_000_000n;

/** A text session in which a response runs that has delivered something. */
async function running(options: Dial): Promise<RealtimeClient> {
  const client = await open(world, options);
  await client.byHand({ output_modalities: ["text"] });
  client.say("Say something.");
  client.send({ type: "response.create" });
  await client.next("response.output_text.delta", 2);
  return client;
}

function errorIn(client: RealtimeClient): Readonly<Record<string, unknown>> | undefined {
  return client.seen.findLast(({ type }) => type === "error")?.["error"] as
    Readonly<Record<string, unknown>> | undefined;
}

describe("the client leaves", () => {
  test("given a running response, then it is cancelled upstream within a second, and its own usage is charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await running({ apiKey, model: "demo-silence-6" });
    const leftAtMs = performance.now();
    client.close();
    const [row] = await rowsOf(world, accountId, 1);
    const [note] = await eventually(() => notesOf(world, client).length > 0 && notesOf(world, client), {
      what: "the upstream's note",
    });
    expect(note).toMatchObject({ outcome: "finished" });
    expect(Date.parse(note?.endedAt ?? "") - (performance.timeOrigin + leftAtMs)).toBeLessThan(1_000);
    expect(row).toMatchObject({ estimated: false, tokens: classesOf(note?.reportedUsage ?? {}).text });
    expect(row?.costMicroTokens).toBe(costOf(note?.reportedUsage ?? {}));
  }, 30_000);

  test("given an upstream that says nothing more, then it is left within a second, and input and delivery are charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "scripted" });
    const upstream = scripted.sessions.at(-1)!;
    upstream.send({ type: "session.created", session: { model: "gpt-x", client_secret: "never" } });
    expect(await client.next("session.created")).toMatchObject({ session: { model: "scripted" } });
    expect(JSON.stringify(client.seen)).not.toContain("never");
    client.say("x".repeat(400));
    await eventually(() => upstream.heard.length === 1, { what: "the item upstream" });
    upstream.send({ type: "response.created", response: { id: "r1", conversation_id: "c" } });
    upstream.send({ type: "response.output_text.delta", response_id: "r1", delta: "y".repeat(80) });
    await client.next("response.output_text.delta");
    const leftAtMs = performance.now();
    client.socket.terminate();
    expect((await upstream.closed).atMs - leftAtMs).toBeLessThan(1_000);
    expect(upstream.heard.at(-1)).toEqual({ type: "response.cancel", response_id: "r1" });
    const [row] = await rowsOf(world, accountId, 1);
    expect(row).toMatchObject({ status: "client_closed", estimated: true });
    // A quarter of the bytes, both ways: 400 of the item and its frame, 80 of the answer.
    expect(row?.tokens.input).toBeGreaterThanOrEqual(100);
    expect(row?.tokens.input).toBeLessThan(150);
    expect(row?.tokens.output).toBe(20);
  }, 30_000);
});

describe("the upstream ends it", () => {
  test("given a cut in the middle of a response, then the client gets an error event and 1011, and delivery is charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "demo-midstream-cut-4" });
    await client.byHand({ output_modalities: ["text"] });
    client.say("Say something.");
    client.send({ type: "response.create" });
    expect(await client.ended).toMatchObject({ code: 1011, reason: "stream_interrupted" });
    expect(errorIn(client)).toMatchObject({ code: "stream_interrupted" });
    const [row] = await rowsOf(world, accountId, 1);
    expect(row).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted", estimated: true });
    expect(row?.costMicroTokens).toBeGreaterThan(0n);
  }, 30_000);

  test("given a close in good order while nothing runs, then the client gets the same and no error", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "scripted" });
    scripted.sessions.at(-1)?.socket.close(1000);
    expect(await client.ended).toMatchObject({ code: 1000 });
    expect(errorIn(client)).toBeUndefined();
    expect(world.billing.usage(accountId)).toEqual([]);
  });

  test("given a response that goes on beyond its hold, then it is cancelled, and no more than the hold is charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "scripted" });
    const upstream = scripted.sessions.at(-1)!;
    upstream.send({ type: "response.created", response: { id: "r1", conversation_id: "c" } });
    const sound = Buffer.alloc(48_000).toString("base64");
    // A second of sound is twenty tokens: the hold has room for 4,096.
    for (let second = 0; second < 400; second += 1)
      upstream.send({ type: "response.output_audio.delta", response_id: "r1", delta: sound });
    await eventually(() => upstream.heard.some(({ type }) => type === "response.cancel"), {
      what: "the cancel upstream",
    });
    expect(upstream.heard.filter(({ type }) => type === "response.cancel")).toHaveLength(1);
    const usage = { input_tokens: 10, output_tokens: 90_000, output_token_details: { audio_tokens: 90_000 } };
    upstream.send({ type: "response.done", response: { id: "r1", conversation_id: "c", status: "cancelled", usage } });
    await client.next("response.done");
    const rows = await rowsOf(world, accountId, 2);
    const sold = rows.find(({ model }) => model === "scripted:audio");
    expect(sold?.costMicroTokens).toBe(sold?.holdMicroTokens);
    client.close();
    await client.ended;
  }, 30_000);

  test("given responses that nobody asked for or saw begin, then nothing of them is passed on unpaid", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "scripted" });
    const upstream = scripted.sessions.at(-1)!;
    upstream.send({ type: "response.output_text.delta", response_id: "ghost", delta: "for nothing" });
    upstream.send({ type: "response.done", response: { id: "ghost", usage: { input_tokens: 1, output_tokens: 1 } } });
    upstream.socket.send("no json");
    upstream.send({ type: "input_audio_buffer.cleared" });
    await client.next("input_audio_buffer.cleared");
    expect(client.seen.map(({ type }) => type)).toEqual(["input_audio_buffer.cleared"]);
    client.close();
    await client.ended;
    expect(world.billing.usage(accountId)).toEqual([]);
  });
});

describe("we end it", () => {
  test("given a key that is revoked, then an error event and 1008 come within its bound, and delivery is charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await running({ apiKey, model: "demo-silence-6" });
    await world.keys.revoke(apiKey);
    expect(await client.ended).toMatchObject({ code: 1008, reason: "key_revoked" });
    expect(errorIn(client)).toMatchObject({ code: "key_revoked" });
    const [row] = await rowsOf(world, accountId, 1);
    expect(row?.costMicroTokens).toBeGreaterThan(0n);
  }, 30_000);

  test("given money for some responses, when it is used up, then the session is ended for it, and nothing is overdrawn", async () => {
    const { accountId, apiKey } = world.customer(6_000_000n);
    const client = await open(world, { apiKey });
    await client.byHand({ output_modalities: ["text"] });
    const done = (): number => client.seen.filter(({ type }) => type === "response.done").length;
    const isOpen = (): boolean => client.socket.readyState === client.socket.OPEN;
    for (let asked = 1; asked <= 500 && isOpen(); asked += 1) {
      client.say("Say something. ".repeat(40));
      client.send({ type: "response.create" });
      await eventually(() => done() >= asked || !isOpen(), { what: "the response, or the end" });
    }
    expect(await client.ended).toMatchObject({ code: 1008, reason: "credit_balance_exhausted" });
    expect(errorIn(client)).toMatchObject({ code: "insufficient_quota" });
    expect(done()).toBeGreaterThan(1);
    const rows = await rowsOf(world, accountId, done());
    expect(sum(rows)).toBe(
      notesOf(world, client).reduce((total, { reportedUsage }) => total + costOf(reportedUsage), 0n),
    );
    const { paid, reserved } = world.billing.balance(accountId);
    expect(paid).toBe(6_000_000n - sum(rows));
    expect(paid).toBeGreaterThanOrEqual(reserved);
  }, 60_000);

  test("given a second session of a key that may have one, then it is refused until the first one ends", async () => {
    const { accountId } = world.customer(rich);
    const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: 1 };
    const apiKey = world.keys.issue(accountId, undefined, { limits });
    const first = await open(world, { apiKey });
    const answer = await refusal(world, { apiKey });
    expect(answer).toMatchObject({ status: 429, body: { error: { code: "concurrent_requests_exceeded" } } });
    first.close();
    await first.ended;
    await eventually(
      async () => {
        const again = await dial(world.gateway.httpUrl ?? "", { apiKey });
        if (again instanceof RealtimeClient) again.close();
        return again instanceof RealtimeClient;
      },
      { what: "the slot to be free" },
    );
  }, 30_000);

  test("given requests a minute for two responses, when a third may begin, then the session is ended for it", async () => {
    const { accountId } = world.customer(rich);
    // One for the session, one for each response.
    const limits = { requestsPerMinute: 3, tokensPerMinute: null, concurrentRequests: null };
    const apiKey = world.keys.issue(accountId, undefined, { limits });
    const client = await open(world, { apiKey });
    await client.byHand({ output_modalities: ["text"] });
    for (const turn of [1, 2]) {
      client.say("Say something.");
      client.send({ type: "response.create" });
      await client.next("response.done", turn);
    }
    expect(await client.ended).toMatchObject({ code: 1008, reason: "requests_per_minute_exceeded" });
    expect(await rowsOf(world, accountId, 2)).toHaveLength(2);
  }, 30_000);

  test("given a message that is too long, or binary, then the session ends with the code for it", async () => {
    const { apiKey } = world.customer(rich);
    const long = await open(world, { apiKey });
    long.send({ type: "input_audio_buffer.append", audio: "A".repeat(5_000_000) });
    expect(await long.ended).toMatchObject({ code: 1009 });
    const binary = await open(world, { apiKey });
    binary.socket.send(Buffer.from([1, 2, 3]));
    expect(await binary.ended).toMatchObject({ code: 1003 });
  }, 30_000);

  test("given silence, or a long session, then it is ended in words; and so is one whose gateway stops", async () => {
    const { apiKey } = world.customer(rich);
    const impatient = await world.startGateway({ GATEWAY_REALTIME_IDLE_MS: "1000" });
    const at = async (gateway: typeof impatient): Promise<RealtimeClient> => {
      const client = await dial(gateway.httpUrl ?? "", { apiKey });
      if (!(client instanceof RealtimeClient)) throw new Error(JSON.stringify(client));
      return client;
    };
    const silent = await at(impatient);
    expect(await silent.ended).toMatchObject({ code: 1008, reason: "session_expired" });
    expect(errorIn(silent)).toMatchObject({ code: "session_expired" });
    const brief = await world.startGateway({ GATEWAY_REALTIME_SESSION_MS: "1000" });
    const old = await at(brief);
    const talking = setInterval(() => old.socket.readyState === old.socket.OPEN && old.say("still here"), 100);
    expect(await old.ended).toMatchObject({ code: 1008, reason: "session_expired" });
    clearInterval(talking);
    const [busy, quiet] = [await at(impatient), await at(impatient)];
    await busy.byHand({ output_modalities: ["text"] });
    busy.say("Say something.");
    busy.send({ type: "response.create" });
    await busy.next("response.created");
    await impatient.stop();
    expect(await quiet.ended).toMatchObject({ code: 1001 });
    expect(await busy.ended).toMatchObject({ code: 1001 });
    expect(busy.seen.some(({ type }) => type === "response.done")).toBe(true);
  }, 60_000);
});

describe("which upstream takes it", () => {
  test("given a channel that refuses, then the next one is asked; its words and redirects stay here, and its key gets our headers alone", async () => {
    const { accountId, apiKey } = world.customer(rich);
    for (const status of [503, 302]) {
      scripted.status = status;
      const client = await open(world, {
        apiKey,
        model: "doubled",
        headers: { cookie: "a=b", "openai-organization": "org-1", "x-forwarded-for": "10.1.2.3" },
      });
      expect(await client.next("session.created")).toMatchObject({ session: { model: "doubled" } });
      client.close();
      await client.ended;
    }
    const { headers, url } = scripted.seen.at(-1)!;
    expect(url).toBe("/v1/realtime?model=gpt-x");
    expect(Object.keys(headers).sort()).toEqual([
      "authorization",
      "connection",
      "host",
      "openai-safety-identifier",
      "sec-websocket-key",
      "sec-websocket-version",
      "upgrade",
      "user-agent",
      "x-request-id",
    ]);
    expect(headers.authorization).toBe("Bearer sk-scripted");
    const alone = await refusal(world, { apiKey, model: "scripted" });
    expect(alone.status).toBeGreaterThanOrEqual(502);
    expect(JSON.stringify(alone.body)).not.toContain("own words");
    expect(world.billing.usage(accountId)).toEqual([]);
    scripted.status = 101;
  }, 30_000);
});
