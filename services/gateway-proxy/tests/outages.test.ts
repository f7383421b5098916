import { hashApiKey } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { asOperator, channelBody, chat, send, startWorld, type Answer, type World } from "./_world.ts";

// What a customer meets while a neighbour is away, and that the books are right afterwards.

const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  world = await startWorld({ GATEWAY_REQUESTS_PER_MINUTE: "60" });
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const plenty = 100_000_000_000n;

function requestIdOf(answer: Answer): string {
  return answer.headers.get("x-request-id") ?? "";
}

/** Everything the upstream delivered has exactly one usage row of the same cost basis, and the other way round. */
async function booksAgree(since: number): Promise<void> {
  await eventually(
    () => {
      const { entries } = world.upstream.journal.page(since, 10_000);
      const delivered = entries.filter((entry) => entry.path === "/v1/chat/completions" && entry.status === 200);
      const rows = world.billing.usage();
      expect(delivered.length).toBeGreaterThan(0);
      for (const { requestId, reportedUsage } of delivered) {
        const own = rows.filter((row) => row.requestId === requestId);
        expect(own).toHaveLength(1);
        const usage = reportedUsage as { prompt_tokens: number; completion_tokens: number } | null;
        if (usage) {
          expect(own[0]?.costMicroTokens).toBe(1_000n * BigInt(usage.prompt_tokens + usage.completion_tokens));
        }
      }
      return true;
    },
    { what: "the upstream's journal and the usage rows to agree" },
  );
  const ids = world.billing.usage().map(({ requestId }) => requestId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(world.billing.conflicts).toEqual([]);
}

test("given billing is away, then requests run on the lease, then get 503 with retry-after, and never 402", async () => {
  const { accountId, apiKey } = world.customer(plenty);
  const since = world.upstream.journal.page(0, 10_000).next;
  // Twenty that are held at the same time leave leases with room for as many.
  const slow = { model: "demo-slow", max_tokens: 4_000 };
  const before = await Promise.all(Array.from({ length: 20 }, () => chat(world.gateway, apiKey, slow)));
  expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]));
  await eventually(() => world.billing.usage(accountId).length === 20, { what: "the first usage" });
  await world.billing.stop();
  const answers = await Promise.all(Array.from({ length: 35 }, () => chat(world.gateway, apiKey, slow)));
  const served = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status !== 200);
  expect(served.length).toBeGreaterThanOrEqual(15);
  expect(refused.length).toBeGreaterThan(0);
  for (const answer of refused) {
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(answer.body["error"]).toMatchObject({ code: "service_unavailable" });
  }
  expect(world.billing.usage(accountId)).toHaveLength(20);
  await world.billing.start();
  await booksAgree(since);
  expect(world.billing.usage(accountId)).toHaveLength(20 + served.length);
  expect((await chat(world.gateway, apiKey)).status).toBe(200);
}, 40_000);

test("given NATS is killed and comes back, then usage of the meantime arrives, nothing lost and nothing doubled", async () => {
  const { accountId, apiKey } = world.customer(plenty);
  const since = world.upstream.journal.page(0, 10_000).next;
  expect((await chat(world.gateway, apiKey, { max_tokens: 4_000 })).status).toBe(200);
  // A stream that begins before the outage and ends in it.
  const across = chat(world.gateway, apiKey, { model: "demo-slow", stream: true });
  await eventually(() => world.billing.usage(accountId).length === 1, { what: "the first usage" });
  await world.nats.kill();
  const killedAtMs = performance.now();
  const answers = await Promise.all(Array.from({ length: 12 }, () => chat(world.gateway, apiKey)));
  answers.push(await across);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(world.billing.usage(accountId)).toHaveLength(1);
  // Longer than an acknowledgement is waited for: what was sent has failed, and does not only wait in a buffer.
  await eventually(() => performance.now() - killedAtMs > 3_000, { what: "the outage to have lasted" });
  await world.nats.restart();
  await eventually(() => world.billing.usage(accountId).length === 14, {
    timeoutMs: 15_000,
    what: "the usage of the outage",
  });
  for (const answer of answers) {
    expect(world.billing.usage(accountId).filter((row) => row.requestId === requestIdOf(answer))).toHaveLength(1);
  }
  await booksAgree(since);
}, 60_000);

test("given key-registry is away, then known keys work until their bound of 5 s, then 503; unknown ones get 503 at once", async () => {
  const { apiKey } = world.customer(plenty);
  const unknown = world.keys.issue(world.customer(plenty).accountId);
  await eventually(async () => (await chat(world.gateway, apiKey)).status === 200, {
    timeoutMs: 10_000,
    what: "the bus to be whole again",
  });
  const knownSinceMs = performance.now();
  await world.keys.stop();
  expect((await chat(world.gateway, unknown)).status).toBe(503);
  let servedUntilMs = 0;
  const refusal = await eventually(
    async () => {
      const answer = await chat(world.gateway, apiKey);
      if (answer.status !== 200) return answer;
      servedUntilMs = performance.now() - knownSinceMs;
      return undefined;
    },
    { timeoutMs: 8_000, everyMs: 200, what: "the key not to be believed any more" },
  );
  expect(servedUntilMs).toBeGreaterThan(3_500);
  expect(servedUntilMs).toBeLessThan(5_500);
  expect(refusal.status).toBe(503);
  expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  await world.keys.start();
  expect((await chat(world.gateway, apiKey)).status).toBe(200);
}, 40_000);

test("given a key is revoked, then it is refused at once, and its running stream is cut with an error and no [DONE]", async () => {
  const { accountId, apiKey } = world.customer(plenty);
  const running = await fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: "demo-slow",
      stream: true,
      messages: [{ role: "user", content: "a long story, please" }],
    }),
  });
  expect(running.status).toBe(200);
  const reader = running.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const read = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    text += value ?? "";
    return !done;
  };
  while (!/"content":"[^"]/.test(text)) expect(await read()).toBe(true);
  await world.keys.revoke(apiKey);
  while (await read());
  expect(text).toContain('"code":"key_revoked"');
  expect(text).not.toContain("[DONE]");
  await eventually(async () => (await chat(world.gateway, apiKey)).status === 401, { what: "the key to be refused" });
  const rows = await eventually(
    () => {
      const found = world.billing.usage(accountId);
      return found.length > 0 && found;
    },
    { what: "the charge of what was delivered" },
  );
  expect(rows).toMatchObject([{ status: "upstream_cut", errorCode: "key_revoked", estimated: true }]);
  expect(rows[0]?.costMicroTokens).toBeGreaterThan(0n);
  expect(JSON.stringify(rows, (_name, value: unknown) => String(value))).not.toContain(hashApiKey(apiKey));
}, 30_000);

test("given an upstream whose answer is no JSON, or that fails: 502, the next channel is tried first, nothing is charged", async () => {
  const { accountId, apiKey } = world.customer(plenty);
  for (const model of ["demo-malformed-200", "demo-error-500"]) {
    expect((await chat(world.gateway, apiKey, { model })).status).toBe(502);
  }
  const better = channelBody("better", world.upstream, []);
  const created = await send(world.gateway, "POST", "/api/gateway/channels", {
    headers: asOperator(world.auth),
    body: { ...better, models: { "demo-error-500": "demo-small" }, priority: 0 },
  });
  expect(created.status).toBe(201);
  // "demo" comes after "better" by name; with a higher priority it would be asked first.
  await eventually(async () => (await chat(world.gateway, apiKey, { model: "demo-error-500" })).status === 200, {
    what: "the other channel to answer",
  });
  await eventually(() => world.billing.usage(accountId).length >= 3, { what: "the usage rows" });
  for (const row of world.billing.usage(accountId)) {
    expect(row.costMicroTokens > 0n).toBe(row.status === "ok");
  }
}, 30_000);

test("given Redis counts, then all gateways of a key count together; given it is away, each counts its share alone, and still refuses", async () => {
  const other = await world.startGateway();
  const { apiKey } = world.customer(plenty);
  const list = async (gateway = world.gateway): Promise<Answer> =>
    send(gateway, "GET", "/v1/models", { headers: { authorization: `Bearer ${apiKey}` } });
  const remaining = (answer: Answer): number => Number(answer.headers.get("x-ratelimit-remaining-requests"));
  // A gateway serves before its connection to Redis is there.
  await eventually(async () => remaining(await list(other)) === remaining(await list()) + 1, {
    what: "both gateways to count together",
  });

  await world.stopRedis();
  // It knows of two workers: each has half of sixty, anew.
  const startedMs = performance.now();
  const answers = await Promise.all(Array.from({ length: 70 }, () => list(other)));
  expect(answers[0]?.headers.get("x-ratelimit-limit-requests")).toBe("30");
  const served = answers.filter(({ status }) => status === 200).length;
  expect(served).toBeGreaterThanOrEqual(30);
  // One more comes free every two seconds.
  expect(served).toBeLessThanOrEqual(30 + Math.ceil((performance.now() - startedMs) / 2_000));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(70 - served);
  for (const answer of refused) {
    expect(answer.headers.get("retry-after")).toMatch(/^[12]$/);
    expect(answer.body["error"]).toMatchObject({ code: "requests_per_minute_exceeded" });
  }
  expect((await list()).status).toBe(200);
  const { apiKey: paying } = world.customer(plenty);
  expect((await chat(world.gateway, paying)).status).toBe(200);
}, 30_000);

test("SEC-35 given Redis is killed, when a key is revoked, then it is refused as before, by a key that never met Redis too, and others are served", async () => {
  const { apiKey: revoked } = world.customer(plenty);
  const { apiKey: kept } = world.customer(plenty);
  const { apiKey: unseen } = world.customer(plenty);
  for (const key of [revoked, kept]) expect((await chat(world.gateway, key)).status).toBe(200);
  await world.stopRedis();
  expect((await chat(world.gateway, revoked)).status).toBe(200);
  await world.keys.revoke(revoked);
  await world.keys.revoke(unseen);
  const refused = await eventually(
    async () => {
      const answer = await chat(world.gateway, revoked);
      return answer.status === 401 ? answer : undefined;
    },
    { what: "the key to be refused" },
  );
  expect(refused.body["error"]).toMatchObject({ code: "key_revoked" });
  expect((await chat(world.gateway, unseen)).body["error"]).toMatchObject({ code: "key_revoked" });
  expect((await chat(world.gateway, kept)).status).toBe(200);
}, 30_000);
