import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { killGatewayProcesses } from "./_gateway-process.ts";
import { startWorld, type Customer, type World } from "./_world.ts";

// Clients that are slow on purpose (SEC-87), and what a gateway in a process of its own has to show for it: its memory, and that
// it still runs.

/** Megabytes and hundreds of requests of one key in a minute: what is looked at here are other bounds than its limits. */
const gatewaySettings = {
  GATEWAY_BODY_MEMORY_BYTES: "67108864",
  GATEWAY_REQUESTS_PER_MINUTE: "1000000",
  GATEWAY_TOKENS_PER_MINUTE: "1000000000",
  GATEWAY_CONCURRENT_REQUESTS: "1000000",
  GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "1000000",
  GATEWAY_ACCOUNT_TOKENS_PER_MINUTE: "1000000000",
  GATEWAY_ACCOUNT_CONCURRENT_REQUESTS: "1000000",
};

let world: World;
let customer: Customer;
let flood: Flood;
const sockets = new Set<Socket>();

beforeAll(async () => {
  world = await startWorld({ gatewayAsProcess: true, gatewaySettings });
  flood = await startFlood();
  const channel = await world.operator.post("/api/gateway/channels", {
    name: "flood",
    kind: "openai-compatible",
    egress: "private",
    baseUrl: flood.url,
    secret: "sk-flood",
    models: { "demo-reasoning": "flood" },
  });
  expect(channel.status).toBe(201);
  customer = await world.customer(100_000_000_000n);
  await eventually(async () => (await chat("demo-small")).status === 200, { what: "the gateway to serve" });
}, 60_000);

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  try {
    await flood.close();
    await world.stop();
  } finally {
    killGatewayProcesses();
  }
}, 60_000);

interface Flood {
  readonly url: string;
  /** Of each stream: what the sockets have taken so far, and whether they took all that there was. */
  readonly streams: { bytes: number; whole: boolean }[];
  close(): Promise<void>;
}

const streamBytes = 16_777_216;

/** A provider whose streams are 16 MB of next to no text, and that heeds back-pressure. */
async function startFlood(): Promise<Flood> {
  const streams: Flood["streams"] = [];
  // The padding that OpenAI puts into its chunks against eavesdroppers, only more of it.
  const chunk = { id: "x", object: "chat.completion.chunk", created: 1, model: "m", obfuscation: "x".repeat(60_000) };
  const event = `data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta: { content: "" } }] })}\n\n`;
  const server: Server = createServer((req, res) => {
    req.resume();
    const stream = { bytes: 0, whole: false };
    streams.push(stream);
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.on("error", () => undefined);
    const push = (): void => {
      while (stream.bytes < streamBytes) {
        stream.bytes += event.length;
        if (!res.write(event)) {
          res.once("drain", push);
          return;
        }
      }
      stream.whole = true;
      res.end("data: [DONE]\n\n");
    };
    push();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`,
    streams,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function chat(model: string): Promise<Response> {
  return fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${customer.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model, max_tokens: 20, messages: [{ role: "user", content: "hi" }] }),
    signal: AbortSignal.timeout(60_000),
  });
}

/** Every one of them is answered, whatever else goes on. */
async function othersAreServed(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const answers = await Promise.all(Array.from({ length: 8 }, () => chat("demo-small")));
    expect(await Promise.all(answers.map(async (answer) => [answer.status, (await answer.text()).length > 0]))).toEqual(
      answers.map(() => [200, true]),
    );
  }
}

async function residentBytes(): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${String(world.gateway.adminPort)}/metrics`);
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(await answer.text())?.[1]);
}

/** A connection that writes what it is given and reads nothing, until somebody says so. */
function raw(text: string): Socket {
  const socket = connect(world.gateway.httpPort ?? 0, "127.0.0.1");
  sockets.add(socket);
  socket.on("error", () => undefined);
  socket.once("close", () => sockets.delete(socket));
  socket.pause();
  socket.write(text);
  return socket;
}

function head(model: string, contentLength: number | undefined, stream: boolean): string {
  const body = JSON.stringify({ model, stream, max_tokens: 20, messages: [{ role: "user", content: "hi" }] });
  return [
    "POST /v1/chat/completions HTTP/1.1",
    "Host: gateway",
    `Authorization: Bearer ${customer.apiKey}`,
    "Content-Type: application/json",
    `Content-Length: ${String(contentLength ?? body.length)}`,
    "",
    contentLength === undefined ? body : "",
  ].join("\r\n");
}

describe("SEC-87 slow clients", () => {
  test("given readers that stall, then the provider is read no further, and the gateway's memory does not grow by what they do not read", async () => {
    const before = await residentBytes();
    const readers = Array.from({ length: 20 }, () => raw(head("demo-reasoning", undefined, true)));
    await eventually(() => flood.streams.length === readers.length, {
      what: "every stream to begin",
      timeoutMs: 30_000,
    });
    // Until nobody has taken anything more for a while.
    let quiet = 0;
    let taken = 0;
    await eventually(
      () => {
        const now = flood.streams.reduce((sum, { bytes }) => sum + bytes, 0);
        quiet = now === taken ? quiet + 1 : 0;
        taken = now;
        return quiet >= 10;
      },
      { everyMs: 100, timeoutMs: 60_000, what: "the streams to stand still" },
    );
    expect(flood.streams.filter(({ whole }) => whole)).toEqual([]);
    await othersAreServed();
    // Twenty times sixteen megabytes are there to be read.
    expect((await residentBytes()) - before).toBeLessThan(160_000_000);
    // And it goes on where it stood.
    let received = 0;
    readers[0]?.on("data", (data: Buffer) => (received += data.length));
    readers[0]?.resume();
    await eventually(() => received > streamBytes, { what: "the whole stream to arrive", timeoutMs: 60_000 });
    for (const reader of readers) reader.destroy();
    expect(world.gateway.isAlive?.()).toBe(true);
  }, 120_000);

  test("given hundreds that send their headers or bodies a byte at a time, then the others are served meanwhile, and the slow ones are cut off", async () => {
    const before = await residentBytes();
    const headers = Array.from({ length: 200 }, () => raw("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"));
    const bodies = Array.from({ length: 200 }, () => raw(`${head("demo-small", 1_000_000, false)}{`));
    const dribble = setInterval(() => {
      for (const socket of headers) socket.write("x");
      for (const socket of bodies) socket.write(" ");
    }, 250);
    try {
      await othersAreServed();
      for (const socket of headers) socket.resume();
      // Ten seconds for headers, looked at every five.
      await eventually(() => headers.every(({ destroyed, readableEnded }) => destroyed || readableEnded), {
        timeoutMs: 60_000,
        everyMs: 200,
        what: "those without headers to be cut off",
      });
      await othersAreServed();
      expect((await residentBytes()) - before).toBeLessThan(160_000_000);
    } finally {
      clearInterval(dribble);
    }
    for (const socket of [...headers, ...bodies]) socket.destroy();
    expect(world.gateway.isAlive?.()).toBe(true);
  }, 120_000);

  test("given large bodies that fill the memory for bodies, then the next large one gets 503 and small ones are served; and it is taken when there is room", async () => {
    const most = 33_000_000;
    const piece = Buffer.alloc(1_000_000, " ");
    const uploads = [1, 2].map(() => raw(head("demo-small", most, false)));
    const waits = (socket: Socket): boolean => socket.writableLength === 0;
    for (const socket of uploads) {
      // The last megabyte stays away.
      for (let sent = 0; sent < 32; sent += 1) socket.write(piece);
    }
    await eventually(() => uploads.every(waits), { what: "both bodies to be read", timeoutMs: 30_000 });
    const large = (): Promise<Response> =>
      fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${customer.apiKey}`, "content-type": "application/json" },
        body: " ".repeat(10_000_000) + JSON.stringify({ model: "demo-small", max_tokens: 20, messages: [] }),
        signal: AbortSignal.timeout(60_000),
      });
    const refused = await eventually(
      async () => {
        const answer = await large();
        if (answer.status !== 503) throw new Error(`status ${String(answer.status)}: ${await answer.text()}`);
        return answer;
      },
      { what: "the memory to be full", timeoutMs: 60_000, everyMs: 250 },
    );
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ error: { code: "overloaded" } });
    await othersAreServed();
    for (const socket of uploads) socket.destroy();
    // Read now, and refused for what it says.
    await eventually(async () => (await large()).status === 400, { what: "room again", timeoutMs: 30_000 });
  }, 120_000);
});

test("given requests that limits and money both refuse, and clients that leave while they do, then nothing is left unhandled: the process still runs", async () => {
  const poor = await world.customer(1_000n);
  // More than those that leave: who is not refused by a limit must be there to hear that the money is missing.
  const limits = { requestsPerMinute: 12, tokensPerMinute: null, concurrentRequests: 1 };
  expect((await poor.browser.patch(`/api/keys/${poor.keyId}`, { limits })).status).toBe(200);
  const body = JSON.stringify({ model: "demo-small", max_tokens: 4_000, messages: [{ role: "user", content: "hi" }] });
  const statuses = new Set<number>();
  for (let round = 0; round < 12; round += 1) {
    await Promise.all(
      Array.from({ length: 16 }, async (_value, index) => {
        const leave = new AbortController();
        const asked = fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
          method: "POST",
          headers: { authorization: `Bearer ${poor.apiKey}`, "content-type": "application/json" },
          body,
          signal: leave.signal,
        });
        if (index % 4 === 0) setTimeout(() => leave.abort(), index);
        const answer = await asked.catch(() => undefined);
        if (!answer) return;
        statuses.add(answer.status);
        await answer.text().catch(() => undefined);
      }),
    );
  }
  expect([...statuses]).toEqual(expect.arrayContaining([402, 429]));
  await othersAreServed();
  expect(world.gateway.isAlive?.()).toBe(true);
}, 60_000);
