import { eventually, leakCheck } from "@codex/testkit";
import { newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { LookupAddress } from "node:dns";
import type { Lookup } from "../src/upstream/address-guard.ts";
import { connectRealtime } from "../src/upstream/realtime-socket.ts";
import { routeOf, stateOf } from "./_channel.ts";
import { dial, open, RealtimeClient, realtimePrices, refusal } from "./_realtime.ts";
import { asOperator, send, startWorld, type World } from "./_world.ts";
import { startWebSocketUpstream, type WebSocketUpstream } from "./_websocket-upstream.ts";

// What keeps one session from using up what others need: memory, places, and addresses that no channel may reach.

const leaks = leakCheck();
let world: World;
let scripted: WebSocketUpstream;

beforeAll(async () => {
  const [text, sound] = realtimePrices("demo-realtime");
  world = await startWorld({}, [text], [sound, ...realtimePrices("scripted")]);
  scripted = await startWebSocketUpstream();
  const created = await send(world.gateway, "POST", "/api/gateway/channels", {
    headers: asOperator(world.auth),
    body: {
      name: "scripted",
      kind: "openai",
      egress: "private",
      secret: "sk-scripted",
      baseUrl: scripted.url,
      models: { scripted: "gpt-x" },
    },
  });
  if (created.status !== 201) throw new Error(created.text);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await scripted.close();
  await leaks.assertClean();
}, 30_000);

const rich = 100_000_000_000n;
const piece = "z".repeat(65_536);
/** What the gateway may hold back, and what the sockets of two connections take beside it. */
const waitingMax = 64_000_000;

describe("an end that does not read", () => {
  test("given a client that stalls, when the upstream goes on, then the gateway stops reading it, and goes on when the client does", async () => {
    const { apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "scripted" });
    const upstream = scripted.sessions.at(-1)!;
    client.socket.pause();
    let pieces = 0;
    // Until nobody takes any more: what then waits is in the test's own hands.
    while (upstream.socket.bufferedAmount < 8_000_000 && pieces * piece.length < waitingMax) {
      upstream.send({ type: "conversation.item.added", piece });
      pieces += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(upstream.socket.bufferedAmount).toBeGreaterThanOrEqual(8_000_000);
    client.socket.resume();
    await eventually(() => client.seen.length === pieces, { what: "every piece", timeoutMs: 30_000 });
    client.close();
    await client.ended;
  }, 60_000);

  test("given an upstream that stalls, when the client goes on, then the gateway stops reading the client", async () => {
    const { apiKey } = world.customer(1_000n * rich);
    const client = await open(world, { apiKey, model: "scripted" });
    const upstream = scripted.sessions.at(-1)!;
    upstream.socket.pause();
    let pieces = 0;
    while (client.socket.bufferedAmount < 8_000_000 && pieces * piece.length < waitingMax) {
      client.send({ type: "input_audio_buffer.append", audio: piece });
      pieces += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(client.socket.bufferedAmount).toBeGreaterThanOrEqual(8_000_000);
    upstream.socket.resume();
    await eventually(() => upstream.heard.length === pieces, { what: "every piece", timeoutMs: 30_000 });
    client.close();
    await client.ended;
  }, 60_000);
});

describe("places", () => {
  test("given a worker with room for one session, then another one is refused with 503, and taken when the first has gone", async () => {
    const { apiKey } = world.customer(rich);
    const small = await world.startGateway({ GATEWAY_REALTIME_SESSIONS_MAX: "1" });
    const first = await dial(small.httpUrl ?? "", { apiKey });
    if (!(first instanceof RealtimeClient)) throw new Error(JSON.stringify(first));
    const second = await dial(small.httpUrl ?? "", { apiKey });
    expect(second).toMatchObject({ status: 503, body: { error: { code: "overloaded" } } });
    first.close();
    await first.ended;
    const third = await eventually(
      async () => {
        const answer = await dial(small.httpUrl ?? "", { apiKey });
        return answer instanceof RealtimeClient && answer;
      },
      { what: "the place to be free" },
    );
    third.close();
    await third.ended;
    await small.stop();
  }, 30_000);

  test("given a channel for one at a time, then a session holds its place for as long as it lasts", async () => {
    const channels = await send(world.gateway, "GET", "/api/gateway/channels", { headers: asOperator(world.auth) });
    const { channels: items } = channels.body as { channels: { name: string; channelId: string; version: number }[] };
    const { channelId, version } = items.find(({ name }) => name === "scripted")!;
    const changed = await send(world.gateway, "PATCH", `/api/gateway/channels/${channelId}`, {
      headers: asOperator(world.auth),
      body: { version, concurrencyMax: 1 },
    });
    expect(changed.status).toBe(200);
    const { apiKey } = world.customer(rich);
    const client = await eventually(
      async () => {
        const first = await open(world, { apiKey, model: "scripted" });
        const second = await dial(world.gateway.httpUrl ?? "", { apiKey, model: "scripted" });
        if (!(second instanceof RealtimeClient)) return first;
        second.close();
        first.close();
        await Promise.all([first.ended, second.ended]);
        return undefined;
      },
      { what: "the bound to arrive" },
    );
    expect(await refusal(world, { apiKey, model: "scripted" })).toMatchObject({ status: 503 });
    client.close();
    await client.ended;
  }, 30_000);
});

describe("SEC-81 the addresses that a session may reach", () => {
  const lookup =
    (...addresses: readonly string[]): Lookup =>
    (_hostname, options, callback) => {
      const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      if (options.all === true) callback(null, found);
      else callback(null, found[0]?.address ?? "", found[0]?.family);
    };
  const options = { requestId: newId("req"), userId: "u_1", timeoutMs: 5_000, messageBytesMax: 1_000 };
  const key = { secret: "sk-scripted" };

  test.each([
    ["a private literal", "http://127.0.0.1:PORT/v1", []],
    ["a literal of the metadata service", "http://169.254.169.254/v1", []],
    ["an IPv6 literal", "http://[::1]:PORT/v1", []],
    ["a name that resolves to loopback", "http://up.example:PORT/v1", ["127.0.0.1"]],
    ["a name that also resolves to loopback", "http://up.example:PORT/v1", ["93.184.216.34", "127.0.0.1"]],
  ])("given %s, then a channel without the right to private networks does not connect", async (_what, url, found) => {
    const before = scripted.seen.length;
    const { port } = new URL(scripted.url);
    const route = routeOf(stateOf({ kind: "openai", egress: "public", baseUrl: url.replace("PORT", port) }));
    const { signal } = new AbortController();
    await expect(connectRealtime(route, key, { ...options, signal, lookup: lookup(...found) })).rejects.toMatchObject({
      code: "upstream_unavailable",
    });
    expect(scripted.seen).toHaveLength(before);
  });

  test("given the right to private networks, then the same name connects; the metadata service stays out of reach", async () => {
    const { port } = new URL(scripted.url);
    const { signal } = new AbortController();
    const to = (address: string) => {
      const route = routeOf(stateOf({ kind: "openai", egress: "private", baseUrl: `http://up.example:${port}/v1` }));
      return connectRealtime(route, key, { ...options, signal, lookup: lookup(address) });
    };
    const answer = await to("127.0.0.1");
    if (!("socket" in answer)) throw new Error("refused");
    answer.socket.terminate();
    await expect(to("169.254.169.254")).rejects.toMatchObject({ code: "upstream_unavailable" });
  });
});
