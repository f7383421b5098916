import { leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { connect } from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { costOf, realtimePrices, rowsOf, sum } from "../../services/gateway-proxy/tests/_realtime.ts";
import { startWorld, type World } from "../../services/gateway-proxy/tests/_world.ts";

// The realtime helpers of the official `openai` package through the gateway: the one for servers and the one for browsers.

const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  const [text, sound] = realtimePrices("demo-realtime");
  world = await startWorld({}, [text], [sound]);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

type Helper = OpenAIRealtimeWS | OpenAIRealtimeWebSocket;

// Both know wss alone. TLS is the edge's business, so here they are given connections without it.
const browserSocket = globalThis.WebSocket;
class PlainWebSocket extends browserSocket {
  constructor(url: string | URL, protocols?: ConstructorParameters<typeof browserSocket>[1]) {
    super(String(url).replace(/^wss:/, "ws:"), protocols);
  }
}

afterEach(() => {
  globalThis.WebSocket = browserSocket;
});

const helpers = {
  "for servers (ws)": (client: OpenAI): Helper => {
    const { hostname, port } = new URL(client.baseURL);
    const createConnection = () => connect({ host: hostname, port: Number(port) });
    return new OpenAIRealtimeWS({ model: "demo-realtime", options: { createConnection } }, client);
  },
  // It sends the key in a subprotocol: a browser can set no header.
  "for browsers (WebSocket)": (client: OpenAI): Helper => {
    globalThis.WebSocket = PlainWebSocket;
    return new OpenAIRealtimeWebSocket({ model: "demo-realtime", dangerouslyAllowBrowser: true }, client);
  },
};

test.each(Object.entries(helpers))(
  "the helper %s: a spoken answer arrives whole, and costs what the upstream counted",
  async (_name, make) => {
    const { accountId, apiKey } = world.customer(100_000_000_000n);
    const client = new OpenAI({ baseURL: `${world.gateway.httpUrl ?? ""}/v1`, apiKey });
    const realtime = make(client);
    const errors: unknown[] = [];
    realtime.on("error", (error) => errors.push(error));
    let transcript = "";
    let soundBytes = 0;
    realtime.on("response.output_audio_transcript.delta", ({ delta }) => (transcript += delta));
    realtime.on("response.output_audio.delta", ({ delta }) => (soundBytes += Buffer.from(delta, "base64").length));
    realtime.on("session.created", () => {
      const content = [{ type: "input_text" as const, text: "Say hello" }];
      realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
      realtime.send({ type: "response.create" });
    });
    const done = await new Promise<OpenAI.Realtime.ResponseDoneEvent>((resolve, reject) => {
      realtime.on("response.done", resolve);
      realtime.on("error", reject);
    });
    expect(errors).toEqual([]);
    expect(done.response.status).toBe("completed");
    const [item] = done.response.output ?? [];
    expect(item).toMatchObject({ type: "message", content: [{ type: "output_audio", transcript }] });
    expect(soundBytes).toBeGreaterThan(0);
    realtime.close();
    const note = world.upstream.journal.page(0, 100).entries.at(-1);
    const cost = costOf(note?.reportedUsage ?? {});
    expect((done.response.usage as unknown as { cost: number }).cost).toBe(Number(cost) / 1_000_000);
    const rows = await rowsOf(world, accountId, 2);
    expect(sum(rows)).toBe(cost);
  },
  30_000,
);
