import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { killGatewayProcesses } from "./_gateway-process.ts";
import { startWorld, type Customer, type World } from "./_world.ts";

// Limits from the owner's setting to the refusal, and running requests of a gateway that is killed.

const leaseMs = 2_000;
let world: World;

beforeAll(async () => {
  world = await startWorld({
    gatewayAsProcess: true,
    gatewaySettings: { GATEWAY_SLOT_LEASE_MS: String(leaseMs), GATEWAY_KEY_CACHE_BOUND_MS: "500" },
  });
  // Some words, and then nothing for as long as anybody waits.
  const channel = await world.operator.post("/api/gateway/channels", {
    name: "silent",
    kind: "demo",
    baseUrl: `${world.upstream.url}/v1`,
    secret: "demo-secret",
    models: { "demo-reasoning": "demo-silence-3" },
  });
  expect(channel.status).toBe(201);
}, 60_000);

afterAll(async () => {
  try {
    await world.stop();
  } finally {
    killGatewayProcesses();
  }
}, 60_000);

function chat(url: string, { apiKey }: Customer, more: Readonly<Record<string, unknown>> = {}, signal?: AbortSignal) {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "demo-small", max_tokens: 20, messages: [{ role: "user", content: "hi" }], ...more }),
    signal: signal ?? AbortSignal.timeout(10_000),
  });
}

async function statusOf(answer: Promise<Response>): Promise<number> {
  const { status, body } = await answer;
  await body?.cancel();
  return status;
}

test("given an owner who allows two at a time, when the gateway that runs them is killed, then the slots come back by themselves", async () => {
  const customer = await world.customer(10_000_000_000n);
  const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: 2 };
  const changed = await customer.browser.patch(`/api/keys/${customer.keyId}`, { limits });
  expect(changed.status).toBe(200);
  const other = (await world.anotherGateway()).httpUrl ?? "";
  const killed = world.gateway.httpUrl ?? "";

  const slow = { model: "demo-reasoning", stream: true };
  const leave = new AbortController();
  const streams = await Promise.all([0, 1].map(() => chat(killed, customer, slow, leave.signal)));
  expect(streams.map(({ status }) => status)).toEqual([200, 200]);
  const reading = streams.map((stream) => stream.text().catch(() => "cut"));

  // Renewed while they run: longer than a lease, and seen by the other gateway.
  const startedMs = performance.now();
  await eventually(
    async () => {
      const answer = await chat(other, customer);
      expect(answer.status).toBe(429);
      expect(await answer.json()).toMatchObject({ error: { code: "concurrent_requests_exceeded" } });
      return performance.now() - startedMs > 1.5 * leaseMs;
    },
    { everyMs: 200, what: "one and a half leases to pass" },
  );

  await world.killGateway();
  expect(await statusOf(chat(other, customer))).toBe(429);
  await eventually(async () => (await statusOf(chat(other, customer))) === 200, {
    timeoutMs: 2 * leaseMs,
    what: "the slots of the killed gateway to come back",
  });
  leave.abort();
  await Promise.all(reading);
  await world.startGateway();
}, 60_000);
