import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readEvents, recordOf, toldCost, usualCost } from "./_streams.ts";
import { send, startWorld, type Answer, type World } from "./_world.ts";

// POST /v1/responses through a gateway in front of the demo upstream: what a client reads, and what is booked for it.

const leaks = leakCheck();
let world: World;
let apiKey: string;

beforeAll(async () => {
  world = await startWorld({}, [
    "demo-tools",
    "demo-reasoning",
    "demo-length-4000",
    "demo-no-usage",
    "demo-hostile-usage",
    "demo-hostile-usage-huge",
    "demo-hostile-usage-inflated",
    "demo-midstream-cut-6",
    "demo-error-in-stream-6",
    "demo-silence-6",
    "demo-error-401",
    "demo-error-200",
    "demo-unbounded",
  ]);
  ({ apiKey } = world.customer(100_000_000_000n));
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function respond(more: Readonly<Record<string, unknown>> = {}, headers: Record<string, string> = {}): Promise<Answer> {
  return send(world.gateway, "POST", "/v1/responses", {
    headers: { authorization: `Bearer ${apiKey}`, ...headers },
    body: { model: "demo-small", input: "hi", max_output_tokens: 200, ...more },
  });
}

type Usage = Readonly<Record<string, number>>;
const usageOf = (response: unknown): Usage => (response as { readonly usage: Usage }).usage;
const lastOf = (answer: Answer) => readEvents(answer.text).at(-1)!;

describe("200", () => {
  test("given a plain request, then the response is the upstream's with its cost, and one row is booked for it", async () => {
    const answer = await respond();
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ object: "response", status: "completed", store: false });
    const usage = usageOf(answer.body);
    const tokens = usage["input_tokens"]! + usage["output_tokens"]!;
    expect(toldCost(usage)).toBe(usualCost(tokens));
    expect(await recordOf(world, answer)).toMatchObject({
      route: "/v1/responses",
      status: "ok",
      streamed: false,
      estimated: false,
      tokens: { input: usage["input_tokens"], output: usage["output_tokens"] },
      costMicroTokens: usualCost(tokens),
    });
  });

  test("given a stream, then the full sequence of events comes, numbered and named, and the cost is in the last", async () => {
    const answer = await respond({ stream: true });
    const events = readEvents(answer.text);
    const types = events.map(({ data }) => data["type"]);
    expect(types.slice(0, 4)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
    ]);
    expect(types.slice(-4)).toEqual([
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(events.map(({ name }) => name)).toEqual(types);
    expect(events.map(({ data }) => data["sequence_number"])).toEqual(events.map((_event, index) => index));
    expect(answer.text).not.toContain("[DONE]");
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ status: "ok", streamed: true, estimated: false });
    expect(toldCost(usageOf(events.at(-1)!.data["response"]))).toBe(record.costMicroTokens);
  });

  test("given a client that leaves right after response.completed, as codex does, then it is booked as whole, not as an abort", async () => {
    const leave = new AbortController();
    const response = await fetch(`${world.gateway.httpUrl ?? ""}/v1/responses`, {
      method: "POST",
      signal: leave.signal,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "demo-small", input: "hi", stream: true }),
    });
    let text = "";
    const decoder = new TextDecoder();
    const reader = response.body!.getReader();
    while (!text.includes("response.completed"))
      text += decoder.decode((await reader.read()).value as Uint8Array, { stream: true });
    leave.abort();
    await reader.cancel().catch(() => undefined);
    expect(await recordOf(world, response)).toMatchObject({ status: "ok", estimated: false, errorCode: null });
  });

  test("given tools, then the call comes with its arguments", async () => {
    const tools = [{ type: "function", name: "weather", parameters: { type: "object", properties: { city: {} } } }];
    const answer = await respond({ model: "demo-tools", input: "use weather", tools });
    expect(answer.body["output"]).toMatchObject([{ type: "function_call", name: "weather", status: "completed" }]);
  });

  test("given input items and a header that only codex knows, then both reach the upstream as they came", async () => {
    const input = [
      { type: "additional_tools", role: "developer", tools: [{ type: "namespace", name: "shell" }] },
      { type: "message", role: "user", content: [{ type: "input_text", text: "привет" }] },
      { type: "custom_tool_call_output", call_id: "c1", output: "done", namespace: "shell" },
      { type: "compaction_trigger" },
    ];
    const answer = await respond({ input }, { "x-openai-internal-codex-responses-lite": "true" });
    expect(answer.status).toBe(200);
    // The demo counts every item as its JSON text, so equal counts mean equal items.
    const counted = usageOf(answer.body)["input_tokens"];
    const direct = await fetch(`${world.upstream.url}/v1/responses`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer sk-demo-upstream-4711" },
      body: JSON.stringify({ model: "demo-small", input }),
    });
    expect(counted).toBe(usageOf(await direct.json())["input_tokens"]);
  });

  test("given reasoning, then it is booked in its own class", async () => {
    const answer = await respond({ model: "demo-reasoning", stream: true, max_output_tokens: 2_000 });
    const record = await recordOf(world, answer);
    expect(record.tokens.reasoning).toBeGreaterThan(0);
    expect(answer.text).toContain("response.reasoning_summary_text.delta");
  });

  test("given an answer that reaches its limit, then it ends as incomplete, and is whole to us", async () => {
    const answer = await respond({ model: "demo-length-4000", stream: true, max_output_tokens: 10 });
    expect(lastOf(answer).data).toMatchObject({
      type: "response.incomplete",
      response: { incomplete_details: { reason: "max_output_tokens" }, usage: { output_tokens: 10 } },
    });
    expect(await recordOf(world, answer)).toMatchObject({ status: "ok", tokens: { output: 10 } });
  });

  test("given an upstream that ignores the limit, then the stream ends as incomplete when the hold is used up", async () => {
    const answer = await respond({ model: "demo-unbounded", stream: true, max_output_tokens: 1, input: "x".repeat(9) });
    const record = await recordOf(world, answer);
    expect(record.costMicroTokens).toBeLessThanOrEqual(record.holdMicroTokens);
    expect(["response.incomplete", "response.completed"]).toContain(lastOf(answer).data["type"]);
  });

  test.each(["demo-no-usage", "demo-hostile-usage", "demo-hostile-usage-huge"])(
    "given %s, then what was delivered is charged, marked as estimated, and shown in place of what was said",
    async (model) => {
      for (const stream of [true, false]) {
        const answer = await respond({ model, stream });
        const record = await recordOf(world, answer);
        expect(record).toMatchObject({ status: "ok", estimated: true });
        const usage = usageOf(stream ? lastOf(answer).data["response"] : answer.body);
        expect(usage["output_tokens"]).toBe(record.tokens.output);
        expect(record.tokens.output).toBeGreaterThan(0);
        expect(toldCost(usage)).toBe(record.costMicroTokens);
      }
    },
  );

  test("given usage a thousand times too high, then no more than the hold is charged", async () => {
    const answer = await respond({ model: "demo-hostile-usage-inflated" });
    const record = await recordOf(world, answer);
    expect(record.costMicroTokens).toBe(record.holdMicroTokens);
  });
});

describe("what ends badly", () => {
  test.each(["demo-midstream-cut-6", "demo-error-in-stream-6"])(
    "given %s, then the stream ends in an error and response.failed, says nothing of the upstream, and is charged as delivered",
    async (model) => {
      const answer = await respond({ model, stream: true });
      const events = readEvents(answer.text);
      expect(events.slice(-2).map(({ name }) => name)).toEqual(["error", "response.failed"]);
      expect(events.at(-1)!.data).toMatchObject({
        response: { status: "failed", error: { code: "stream_interrupted" } },
      });
      expect(events.map(({ data }) => data["sequence_number"])).toEqual(events.map((_event, index) => index));
      expect(answer.text).not.toContain("Scripted failure");
      expect(await recordOf(world, answer)).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted" });
    },
  );

  test("given a client that leaves in the middle, then the upstream is told within a second and the input is charged", async () => {
    const leave = new AbortController();
    const since = world.upstream.journal.page(0, 10_000).next;
    const response = await fetch(`${world.gateway.httpUrl ?? ""}/v1/responses`, {
      method: "POST",
      signal: leave.signal,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "demo-silence-6", input: "hi", stream: true }),
    });
    await response.body!.getReader().read();
    const leftAtMs = performance.now();
    leave.abort();
    await eventually(() => world.upstream.journal.page(since, 10_000).entries.length > 0, {
      what: "the upstream to know",
    });
    expect(performance.now() - leftAtMs).toBeLessThan(1_000);
    expect(await recordOf(world, response)).toMatchObject({
      status: "client_closed",
      httpStatus: 499,
      estimated: true,
    });
  });

  test("given an upstream that refuses our own key, then the client gets 502 without its words", async () => {
    const answer = await respond({ model: "demo-error-401" });
    expect(answer.status).toBe(502);
    expect(answer.body["error"]).toMatchObject({ code: "upstream_error", type: "server_error" });
    expect(answer.text).not.toContain("Scripted");
  });

  test("given an error object in a 200, then it is no answer", async () => {
    expect((await respond({ model: "demo-error-200" })).status).toBe(502);
    expect((await respond({ model: "demo-error-200", stream: true })).status).toBe(502);
  });
});

describe("400", () => {
  test.each([
    ["previous_response_id", { previous_response_id: "resp_1" }, "unsupported_parameter"],
    ["conversation", { conversation: "conv_1" }, "unsupported_parameter"],
    ["background", { background: true }, "unsupported_parameter"],
    ["prompt", { prompt: { id: "pmpt_1" } }, "unsupported_parameter"],
    ["input", { input: [] }, "invalid_request"],
    [
      "input[1]",
      {
        input: [
          { role: "user", content: "hi" },
          { type: "item_reference", id: "msg_1" },
        ],
      },
      "unsupported_parameter",
    ],
    ["temprature", { temprature: 1 }, "unknown_parameter"],
    ["max_output_tokens", { max_output_tokens: 0 }, "invalid_request"],
  ])("given %s, then it is refused by name", async (param, more, code) => {
    const answer = await respond(more);
    expect(answer.status).toBe(400);
    expect(answer.body["error"]).toMatchObject({ param, code, type: "invalid_request_error" });
  });

  test("given a chat body, then the URL for it is named", async () => {
    const answer = await send(world.gateway, "POST", "/v1/responses", {
      headers: { authorization: `Bearer ${apiKey}` },
      body: { model: "demo-small", messages: [{ role: "user", content: "hi" }], max_completion_tokens: 5 },
    });
    expect(answer.body["error"]).toMatchObject({ code: "wrong_dialect" });
    expect(answer.text).toContain("POST /v1/chat/completions");
  });
});

test("402: given no money, then the body and the header are what clients stop at", async () => {
  const poor = world.customer(0n);
  const answer = await respond({}, { authorization: `Bearer ${poor.apiKey}` });
  expect(answer.status).toBe(402);
  expect(answer.headers.get("x-should-retry")).toBe("false");
  expect(answer.body["error"]).toMatchObject({
    type: "insufficient_quota",
    code: "insufficient_quota",
    param: null,
    metadata: { reason: "credit_balance_exhausted" },
  });
});
