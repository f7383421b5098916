import Anthropic, { APIError, AuthenticationError, BadRequestError, NotFoundError } from "@anthropic-ai/sdk";
import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { otherKinds, pixel, startSdkWorld, type SdkWorld } from "./_gateway.ts";
import type { Payer } from "./_payer.ts";

// The official `@anthropic-ai/sdk` package through the gateway; its base URL has no /v1.

const leaks = leakCheck();
let world: SdkWorld;
/** Of one test each, so that its rows can be held against what the upstream counted. */
let payer: Payer;
let client: Anthropic;

beforeAll(async () => {
  world = await startSdkWorld();
}, 60_000);

beforeEach(() => {
  payer = world.payer();
  const { apiKey, fetch } = payer;
  client = new Anthropic({ baseURL: world.gateway.httpUrl ?? "", apiKey, fetch, timeout: 20_000 });
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const ask = { model: "demo-claude", max_tokens: 300, messages: [{ role: "user" as const, content: "Say hello" }] };
const input_schema = { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] };
const costOf = (usage: unknown): number => (usage as { cost: number }).cost;

describe("messages", () => {
  test("plain: text, usage, cost, and the request id that we gave", async () => {
    const message = await client.messages.create(ask);
    expect(message.content[0]).toMatchObject({ type: "text" });
    expect(costOf(message.usage)).toBeGreaterThan(0);
    expect(message._request_id).toMatch(/^req_/);
    await payer.charged(1);
  });

  test("streamed by the helper: the final message has its stop reason, usage and cost", async () => {
    const stream = client.messages.stream(ask);
    let text = "";
    let told: unknown;
    stream.on("text", (delta) => (text += delta));
    // The helper keeps of the usage only what it knows; the event has the cost.
    stream.on("streamEvent", (event) => (told = event.type === "message_delta" ? event.usage : told));
    const message = await stream.finalMessage();
    expect(message.stop_reason).toBe("end_turn");
    expect(message.content[0]).toMatchObject({ type: "text", text });
    expect(message.usage.output_tokens).toBeGreaterThan(1);
    expect(costOf(told)).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("tools: a call out of streamed fragments, then its result", async () => {
    const tools = [{ name: "weather", input_schema }];
    const messages = [{ role: "user" as const, content: "weather in Omsk" }];
    const first = await client.messages.stream({ ...ask, model: "demo-tools", messages, tools }).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "weather", input: { city: expect.any(String) } });
    const result = { type: "tool_result" as const, tool_use_id: call?.id ?? "", content: "sunny" };
    const next = await client.messages.create({
      ...ask,
      model: "demo-tools",
      tools,
      messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }],
    });
    expect(next.stop_reason).toBe("end_turn");
    await payer.charged(2);
  });

  test("image input, thinking with its signature kept, and a cached system prompt", async () => {
    const source = { type: "base64" as const, media_type: "image/png" as const, data: pixel };
    const content = [
      { type: "image" as const, source },
      { type: "text" as const, text: "What is it?" },
    ];
    const seen = await client.messages.create({ ...ask, messages: [{ role: "user", content }] });
    expect(seen.stop_reason).toBe("end_turn");
    const thinking = { type: "enabled" as const, budget_tokens: 1_024 };
    const thought = await client.messages.stream({ ...ask, max_tokens: 2_000, thinking }).finalMessage();
    expect(thought.content[0]).toMatchObject({ type: "thinking", signature: expect.stringMatching(/.{20}/) });
    const system = [
      { type: "text" as const, text: "rule ".repeat(2_000), cache_control: { type: "ephemeral" as const } },
    ];
    const cached = await client.messages.create({ ...ask, system });
    expect(cached.usage.cache_creation_input_tokens).toBeGreaterThan(1_024);
    await payer.charged(3);
  });

  test("abort: the row says that the client left", async () => {
    const stream = client.messages.stream({ ...ask, model: "demo-silence-6" });
    await new Promise((resolve) => stream.once("streamEvent", resolve));
    stream.abort();
    await stream.done().catch(() => undefined);
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ status: "client_closed", streamed: true, estimated: true });
  });

  test("a cut stream throws, it does not end", async () => {
    await expect(client.messages.stream({ ...ask, model: "demo-midstream-cut-6" }).finalMessage()).rejects.toThrow(
      APIError,
    );
    await payer.charged(1);
  });
});

describe.each(otherKinds.filter((kind) => kind !== "anthropic"))(
  "at a channel of the kind %s, by conversion",
  (kind) => {
    const model = `${kind} demo-large`;
    test("plain: text, the model's own name, usage with the cost", async () => {
      const message = await client.messages.create({ ...ask, model, system: "be brief" });
      expect(message).toMatchObject({ model, stop_reason: "end_turn", content: [{ type: "text" }] });
      expect(costOf(message.usage)).toBeGreaterThan(0);
      await payer.charged(1);
    });

    test("streamed by the helper: the final message is whole", async () => {
      const stream = client.messages.stream({ ...ask, model });
      let text = "";
      let told: unknown;
      stream.on("text", (delta) => (text += delta));
      stream.on("streamEvent", (event) => (told = event.type === "message_delta" ? event.usage : told));
      const message = await stream.finalMessage();
      expect(message).toMatchObject({ stop_reason: "end_turn", content: [{ type: "text", text }] });
      expect(message.usage.output_tokens).toBeGreaterThan(1);
      expect(costOf(told)).toBeGreaterThan(0);
      await payer.charged(1);
    });

    test("tools: a call out of streamed fragments, then its result", async () => {
      const asked = { ...ask, model: `${kind} demo-tools`, tools: [{ name: "weather", input_schema }] };
      const messages = [{ role: "user" as const, content: "weather in Omsk" }];
      const first = await client.messages.stream({ ...asked, messages }).finalMessage();
      const call = first.content.find((block) => block.type === "tool_use");
      expect(call).toMatchObject({ name: "weather", input: { city: expect.any(String) } });
      expect(first.stop_reason).toBe("tool_use");
      const result = { type: "tool_result" as const, tool_use_id: call?.id ?? "", content: "sunny" };
      const next = await client.messages.create({
        ...asked,
        messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }],
      });
      expect(next.stop_reason).toBe("end_turn");
      await payer.charged(2);
    });

    test("a cut stream throws, and what cannot be said there is a BadRequestError by name", async () => {
      const cut = client.messages.stream({ ...ask, model: `${kind} demo-midstream-cut-6` }).finalMessage();
      await expect(cut).rejects.toThrow(APIError);
      const tools = [{ type: "web_search_20250305" as const, name: "web_search" as const }];
      const other = world.payer();
      const refused = client
        .withOptions({ apiKey: other.apiKey, fetch: other.fetch })
        .messages.create({ ...ask, model, tools });
      await expect(refused).rejects.toThrow(BadRequestError);
      await expect(refused).rejects.toThrow("'tools[0]");
      other.nothingCharged();
      await payer.charged(1);
    });
  },
);

test("thinking at OpenAI: a summary comes as a thinking block, and its seal goes back with it", async () => {
  const thinking = { type: "adaptive" as const };
  const output_config = { effort: "high" as const };
  const asked = { ...ask, model: "openai demo-reasoning", max_tokens: 2_000, thinking, output_config };
  const first = await client.messages.stream(asked).finalMessage();
  expect(first.content[0]).toMatchObject({ type: "thinking", signature: expect.stringMatching(/.{20}/) });
  const more = [
    { role: "assistant" as const, content: first.content },
    { role: "user" as const, content: "go on" },
  ];
  expect((await client.messages.create({ ...asked, messages: [...ask.messages, ...more] })).stop_reason).toBe(
    "end_turn",
  );
  await payer.charged(2);
});

test("count_tokens and the paginated list of models", async () => {
  const counted = await client.messages.countTokens({ model: ask.model, messages: ask.messages });
  expect(counted.input_tokens).toBeGreaterThan(0);
  const names: string[] = [];
  for await (const { id, display_name: title } of client.models.list({ limit: 3 })) names.push(`${id} ${title}`);
  expect(names).toContain("demo-claude demo-claude");
  expect(names.length).toBeGreaterThan(6);
});

describe("errors: the right class, and no retry where a retry cannot help", () => {
  test("401 and 402 are sent once, with their types", async () => {
    await expect(client.withOptions({ apiKey: "sk-ant-wrong" }).messages.create(ask)).rejects.toThrow(
      AuthenticationError,
    );
    expect(payer.sent()).toBe(1);
    const poor = world.payer(0n);
    const failure: unknown = await client
      .withOptions({ apiKey: poor.apiKey, fetch: poor.fetch })
      .messages.create(ask)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ status: 402, error: { error: { type: "billing_error" } } });
    expect(poor.sent()).toBe(1);
  });

  test("400 and 404 say what is wrong", async () => {
    await expect(client.messages.create({ ...ask, max_tokens: 0 })).rejects.toThrow(BadRequestError);
    await expect(client.messages.create({ ...ask, model: "demo-claud" })).rejects.toThrow(NotFoundError);
    await expect(client.messages.create({ ...ask, model: "demo-claud" })).rejects.toThrow("demo-claude");
  });

  test("a base URL that ends in /v1 is told so", async () => {
    const doubled = new Anthropic({ baseURL: `${world.gateway.httpUrl ?? ""}/v1`, apiKey: payer.apiKey });
    await expect(doubled.messages.create(ask)).rejects.toThrow("remove /v1 from the base URL");
  });
});
