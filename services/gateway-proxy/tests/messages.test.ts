import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readEvents, recordOf, toldCost, usualCost } from "./_streams.ts";
import { priceOf, send, startWorld, type Answer, type World } from "./_world.ts";

// POST /v1/messages and /v1/messages/count_tokens through a gateway in front of the demo upstream.

const leaks = leakCheck();
let world: World;
let apiKey: string;

const cheapRead = { ...priceOf("demo-claude").rates, cachedInput: 100_000_000n, cacheWrite1h: 2_000_000_000n };

beforeAll(async () => {
  world = await startWorld({ GATEWAY_KEEP_ALIVE_MS: "100" }, [
    priceOf("demo-claude", { rates: cheapRead }),
    "demo-tools",
    "demo-no-usage",
    "demo-hostile-usage",
    "demo-midstream-cut-6",
    "demo-error-in-stream-6",
    "demo-silence-6",
    "demo-overloaded",
    "demo-no-terminator",
    "demo-unbounded",
  ]);
  ({ apiKey } = world.customer(100_000_000_000n));
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const version = { "anthropic-version": "2023-06-01" };

function message(more: Readonly<Record<string, unknown>> = {}, headers: Record<string, string> = {}): Promise<Answer> {
  return send(world.gateway, "POST", "/v1/messages?beta=true", {
    headers: { "x-api-key": apiKey, ...version, ...headers },
    body: { model: "demo-small", max_tokens: 200, messages: [{ role: "user", content: "hi" }], ...more },
  });
}

type Usage = Readonly<Record<string, number>>;
const usageOf = (answer: unknown): Usage => (answer as { readonly usage: Usage }).usage;
const typesOf = (answer: Answer): unknown[] => readEvents(answer.text).map(({ data }) => data["type"]);
const deltaOf = (answer: Answer) => readEvents(answer.text).find(({ name }) => name === "message_delta")!.data;

describe("200", () => {
  test("given a plain request by x-api-key or by Bearer, then the message is the upstream's with its cost, and one row is booked", async () => {
    for (const headers of [
      {},
      { "x-api-key": "", authorization: `Bearer ${apiKey}`, "anthropic-version": "2026-10-21" },
    ]) {
      const answer = await message({}, Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== "")));
      expect(answer.status).toBe(200);
      const usage = usageOf(answer.body);
      expect(await recordOf(world, answer)).toMatchObject({
        route: "/v1/messages",
        status: "ok",
        estimated: false,
        tokens: { input: usage["input_tokens"], output: usage["output_tokens"] },
        costMicroTokens: usualCost(usage["input_tokens"]! + usage["output_tokens"]!),
      });
      expect(toldCost(usage)).toBe(usualCost(usage["input_tokens"]! + usage["output_tokens"]!));
    }
  });

  test("given a stream, then the whole sequence comes, and the cost is in message_delta", async () => {
    const answer = await message({ stream: true });
    const types = typesOf(answer).filter((type) => type !== "ping");
    expect(types.slice(0, 3)).toEqual(["message_start", "content_block_start", "content_block_delta"]);
    expect(types.slice(-3)).toEqual(["content_block_stop", "message_delta", "message_stop"]);
    expect(readEvents(answer.text).map(({ name }) => name)).toEqual(typesOf(answer));
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ status: "ok", streamed: true, estimated: false });
    expect(toldCost(usageOf(deltaOf(answer)))).toBe(record.costMicroTokens);
  });

  test("given what Claude Code sends, then system messages in the middle, deferred tools and its betas are let through", async () => {
    const answer = await message(
      {
        system: [{ type: "text", text: "be brief", cache_control: { type: "ephemeral" } }],
        messages: [
          { role: "user", content: "hi" },
          { role: "system", content: "the date has changed" },
          { role: "user", content: [{ type: "text", text: "go on" }] },
        ],
        thinking: { type: "adaptive", display: "summarized" },
        context_management: { edits: [] },
        output_config: { effort: "medium" },
        metadata: { user_id: '{"a":1}' },
        tools: [{ name: "read", input_schema: { type: "object" }, defer_loading: true }],
      },
      { "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14" },
    );
    expect(answer.status).toBe(200);
  });

  test("given a cached prompt, then reads, five-minute and hour writes are booked in their classes", async () => {
    const system = [{ type: "text", text: "rule ".repeat(2_000), cache_control: { type: "ephemeral", ttl: "1h" } }];
    const written = await message({ model: "demo-claude", system, stream: true });
    const first = await recordOf(world, written);
    expect(first.tokens.cacheWrite1h).toBeGreaterThan(1_024);
    expect(first.tokens.cacheWrite).toBe(0);
    const turns = [
      { role: "user", content: "hi" },
      { role: "assistant", content: "yes" },
      { role: "user", content: "more" },
    ];
    const read = await recordOf(world, await message({ model: "demo-claude", system, messages: turns }));
    expect(read.tokens.cachedInput).toBe(first.tokens.cacheWrite1h);
    const { input, output, cachedInput } = read.tokens;
    expect(read.costMicroTokens).toBe(usualCost(input + output) + 100n * BigInt(cachedInput));
  });

  test("given tools in a stream, then the call comes in its fragments and they are counted as answer", async () => {
    const tools = [{ name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];
    const answer = await message({ model: "demo-tools", tools, stream: true });
    expect(answer.text).toContain("input_json_delta");
    expect(deltaOf(answer)).toMatchObject({ delta: { stop_reason: "tool_use" } });
  });

  test("given an upstream that ends after message_delta, then the answer is whole all the same", async () => {
    const answer = await message({ model: "demo-no-terminator", stream: true });
    expect(typesOf(answer).at(-1)).toBe("message_stop");
    expect(await recordOf(world, answer)).toMatchObject({ status: "ok" });
  });

  test("given an upstream that ignores the limit, then the answer ends as one that reached it, and within the hold", async () => {
    const text = "привет ".repeat(40);
    const answer = await message({
      model: "demo-unbounded",
      stream: true,
      max_tokens: 1,
      messages: [{ role: "user", content: text }],
    });
    const record = await recordOf(world, answer);
    expect(record.costMicroTokens).toBeLessThanOrEqual(record.holdMicroTokens);
    expect(typesOf(answer).at(-1)).toBe("message_stop");
  });

  test.each(["demo-no-usage", "demo-hostile-usage"])(
    "given %s, then what was delivered is charged, marked as estimated",
    async (model) => {
      for (const stream of [true, false]) {
        const answer = await message({ model, stream });
        const record = await recordOf(world, answer);
        expect(record).toMatchObject({ status: "ok", estimated: true });
        const usage = usageOf(stream ? deltaOf(answer) : answer.body);
        expect(usage["output_tokens"]).toBe(record.tokens.output);
        expect(toldCost(usage)).toBe(record.costMicroTokens);
      }
    },
  );
});

describe("what ends badly", () => {
  test.each(["demo-midstream-cut-6", "demo-error-in-stream-6"])(
    "given %s, then the stream ends in an error event without message_stop and says nothing of the upstream",
    async (model) => {
      const answer = await message({ model, stream: true });
      expect(typesOf(answer).at(-1)).toBe("error");
      expect(readEvents(answer.text).at(-1)!.data).toMatchObject({ error: { type: "api_error" } });
      expect(answer.text).not.toContain("Scripted");
      expect(await recordOf(world, answer)).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted" });
    },
  );

  test("given a client that leaves in the middle, then the prompt is charged as the upstream told it, and the output as delivered", async () => {
    const leave = new AbortController();
    const response = await fetch(`${world.gateway.httpUrl ?? ""}/v1/messages`, {
      method: "POST",
      signal: leave.signal,
      headers: { "x-api-key": apiKey, "content-type": "application/json", ...version },
      body: JSON.stringify({
        model: "demo-silence-6",
        max_tokens: 200,
        stream: true,
        messages: [{ role: "user", content: "hi" }],
      }),
    });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("content_block_delta"))
      text += decoder.decode((await reader.read()).value as Uint8Array, { stream: true });
    const told = usageOf(readEvents(text)[0]!.data["message"]);
    leave.abort();
    const record = await recordOf(world, response);
    expect(record).toMatchObject({ status: "client_closed", estimated: true, tokens: { input: told["input_tokens"] } });
    expect(record.tokens.output).toBeGreaterThan(0);
  });

  test("given a slow upstream, then the client gets pings before the first event", async () => {
    const answer = await message({ model: "demo-slow", stream: true });
    expect(answer.text.startsWith('event: ping\ndata: {"type":"ping"}\n\n')).toBe(true);
    expect(typesOf(answer).at(-1)).toBe("message_stop");
  });

  test("given an overloaded upstream, then 503 in Anthropic's shape with retry-after", async () => {
    const answer = await message({ model: "demo-overloaded" });
    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
  });
});

describe("400", () => {
  test.each([
    ["max_tokens", { max_tokens: undefined }],
    ["messages", { messages: [] }],
    ["speed", { speed: "fast" }],
    ["container", { container: "c_1" }],
    ["frobnicate", { frobnicate: 1 }],
  ])("given %s, then it is refused by name in Anthropic's shape", async (param, more) => {
    const answer = await message(more);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
    expect(answer.text).toContain(param);
    expect(answer.body["request_id"]).toBe(answer.headers.get("request-id"));
  });

  test("given an OpenAI body, then the URL for it is named", async () => {
    const answer = await message({ response_format: { type: "text" } });
    expect(answer.text).toContain("POST /v1/chat/completions");
  });
});

test("401 and 402: the type is what clients stop at, and no SDK repeats it", async () => {
  const unknown = await message({}, { "x-api-key": "sk-ant-not-ours" });
  expect(unknown.status).toBe(401);
  expect(unknown.body).toMatchObject({ type: "error", error: { type: "authentication_error" } });
  const poor = await message({}, { "x-api-key": world.customer(0n).apiKey });
  expect(poor.status).toBe(402);
  expect(poor.body).toMatchObject({ type: "error", error: { type: "billing_error" }, request_id: expect.any(String) });
  for (const answer of [unknown, poor]) expect(answer.headers.get("x-should-retry")).toBe("false");
});

test("count_tokens is free: no row is booked, no money is needed, and it is limited like any request", async () => {
  const poor = world.customer(0n);
  const answer = await send(world.gateway, "POST", "/v1/messages/count_tokens?beta=true", {
    headers: { "x-api-key": poor.apiKey, ...version },
    body: { model: "demo-small", messages: [{ role: "user", content: "hi there" }] },
  });
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({ input_tokens: expect.any(Number) });
  expect(answer.headers.get("anthropic-ratelimit-requests-remaining")).not.toBeNull();
  await recordOf(world, await message());
  expect(world.billing.usage(poor.accountId)).toEqual([]);
  await eventually(
    () => world.upstream.journal.page(0, 10_000).entries.some(({ path }) => path.endsWith("count_tokens")),
    {
      what: "the upstream to have counted",
    },
  );
});
