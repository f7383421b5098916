import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type Anthropic from "@anthropic-ai/sdk";
import { NotFoundError } from "@anthropic-ai/sdk";
import type { RunningDemoUpstream } from "../src/server.ts";
import { promptTokens, textTokens, toolCallTokens } from "../src/usage.ts";
import { anthropic, eventsOf, post, readToTheEnd, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
let client: Anthropic;
beforeAll(async () => {
  demo = await startFast();
  client = anthropic(demo.url);
});
afterAll(() => demo.close());

const hello = { model: "demo-claude", max_tokens: 500, messages: [{ role: "user" as const, content: "Привет" }] };
const tool = {
  name: "read_file",
  input_schema: { type: "object" as const, properties: { path: { type: "string" } }, required: ["path"] },
};

describe("a plain message", () => {
  test("given a prompt, then usage is the function of both texts and carries the cache fields", async () => {
    const answer = await client.messages.create(hello);
    const block = answer.content[0];
    if (block?.type !== "text") throw new Error("no text");
    expect(block.text).toMatch(/^Привет! Я демо-модель/);
    expect(answer).toMatchObject({ type: "message", role: "assistant", stop_reason: "end_turn", stop_sequence: null });
    expect(answer.usage).toMatchObject({
      input_tokens: promptTokens([{ role: "user", text: "Привет", media: 0 }]),
      output_tokens: textTokens(block.text),
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
    });
  });

  test("given a limit or a stop sequence, then the stop reason tells", async () => {
    const cut = await client.messages.create({ ...hello, max_tokens: 5 });
    expect(cut).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 5 } });
    const stopped = await client.messages.create({ ...hello, stop_sequences: ["демо"] });
    expect(stopped).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "демо" });
  });

  test("given cache_control on a long system prompt, then the first turn writes it and a later one reads it", async () => {
    const system = [
      {
        type: "text" as const,
        text: "rule ".repeat(2_000),
        cache_control: { type: "ephemeral" as const, ttl: "1h" as const },
      },
    ];
    const prefix = promptTokens([{ role: "system", text: "rule ".repeat(2_000), media: 0 }]);
    const first = await client.messages.create({ ...hello, system });
    expect(first.usage).toMatchObject({
      cache_creation_input_tokens: prefix,
      cache_read_input_tokens: 0,
      cache_creation: { ephemeral_1h_input_tokens: prefix, ephemeral_5m_input_tokens: 0 },
    });
    const messages = [...hello.messages, { role: "assistant" as const, content: "да" }, ...hello.messages];
    const later = await client.messages.create({ ...hello, system, messages });
    expect(later.usage).toMatchObject({ cache_creation_input_tokens: 0, cache_read_input_tokens: prefix });
    const counted = await client.messages.countTokens({ model: "demo-claude", system, messages });
    expect(counted.input_tokens).toBe(later.usage.input_tokens + prefix);
  });
});

describe("a streamed message", () => {
  test("given a stream, then the events come in the official order and end in cumulative usage", async () => {
    const plain = await client.messages.create(hello);
    const response = await post(
      demo.url,
      "/v1/messages",
      { ...hello, stream: true },
      { headers: { "anthropic-version": "2023-06-01" } },
    );
    const { text } = await readToTheEnd(response);
    const events = eventsOf(text);
    const order = events.map((event) => event["type"]).filter((type, at, all) => type !== all[at - 1]);
    expect(order).toEqual([
      "message_start",
      "content_block_start",
      "ping",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(events[0]).toMatchObject({
      message: { usage: { input_tokens: plain.usage.input_tokens, output_tokens: 1 } },
    });
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: "end_turn" }, usage: { ...plain.usage } });
    expect(text).toContain("event: message_stop\ndata: ");
  });

  test("given thinking, tools and a stream, then the SDK's final message equals the plain one", async () => {
    const ask = {
      ...hello,
      model: "demo-tools",
      max_tokens: 4_000,
      tools: [tool],
      thinking: { type: "enabled" as const, budget_tokens: 1_024 },
    };
    const plain = await client.messages.create(ask);
    const final = await client.messages.stream(ask).finalMessage();
    expect(plain.content.map((block) => block.type)).toEqual(["thinking", "tool_use"]);
    expect(plain.content[1]).toMatchObject({ name: "read_file", input: { path: "Привет" } });
    expect(final.content).toEqual(plain.content);
    expect(final).toMatchObject({ stop_reason: "tool_use", usage: { ...plain.usage } });
    const thinking = plain.content[0]?.type === "thinking" ? plain.content[0] : undefined;
    expect(thinking?.signature).toMatch(/^[A-Za-z0-9+/=]{40,}$/);
    expect(plain.usage.output_tokens).toBe(
      textTokens(thinking?.thinking ?? "") + toolCallTokens({ name: "read_file", argumentsJson: '{"path":"Привет"}' }),
    );
  });

  test("given a tool result, then the model answers in words about it", async () => {
    const answer = await client.messages.create({
      ...hello,
      model: "demo-tools",
      tools: [tool],
      messages: [
        ...hello.messages,
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "read_file", input: { path: "a" } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "содержимое файла" }] },
      ],
    });
    expect(answer.stop_reason).toBe("end_turn");
    expect(answer.content[0]).toMatchObject({ type: "text", text: expect.stringContaining("содержимое файла") });
  });
});

describe("the rest of the dialect", () => {
  test("given count_tokens, then it is the pure function of the whole input", async () => {
    const counted = await client.messages.countTokens({
      model: "demo-claude",
      messages: hello.messages,
      tools: [tool],
    });
    const items = [
      { role: "tool-definition", text: JSON.stringify(tool), media: 0 },
      { role: "user", text: "Привет", media: 0 },
    ];
    expect(counted.input_tokens).toBe(promptTokens(items));
  });

  test("given an unknown model, then 404 in the Anthropic shape", async () => {
    const refused = client.messages.create({ ...hello, model: "claude-none" });
    await expect(refused).rejects.toThrow(NotFoundError);
    await expect(refused).rejects.toMatchObject({ error: { type: "error", error: { type: "not_found_error" } } });
  });

  test("given no version header, or no max_tokens, then 400 says so", async () => {
    const unversioned = await post(demo.url, "/v1/messages", hello);
    expect(unversioned.status).toBe(400);
    expect(await unversioned.json()).toMatchObject({
      type: "error",
      error: { type: "invalid_request_error", message: "anthropic-version: header is required" },
    });
    const unlimited = { model: hello.model, messages: hello.messages };
    const response = await post(demo.url, "/v1/messages", unlimited, { headers: { "anthropic-version": "x" } });
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/^max_tokens: /) } });
  });

  test("given the models list with a version header, then it has the Anthropic shape", async () => {
    const page = await client.models.list();
    expect(page.data.find((model) => model.id === "demo-claude")).toMatchObject({
      type: "model",
      display_name: "Demo Claude",
    });
  });
});

test("given a reminder of role system after a tool's result, as Claude Code sends it, then the tool is not called again", async () => {
  const script = '!call read_file {"path":"a"}';
  const ask = {
    model: "demo-tools",
    max_tokens: 500,
    tools: [tool],
    messages: [{ role: "user" as const, content: script }],
  };
  const called = await client.messages.create(ask);
  const [call] = called.content;
  if (call?.type !== "tool_use") throw new Error("no call");
  expect(call.input).toEqual({ path: "a" });
  const result = { type: "tool_result", tool_use_id: call.id, content: "forty-two" };
  const answer = await post(
    demo.url,
    "/v1/messages",
    {
      ...ask,
      messages: [
        ...ask.messages,
        { role: "assistant", content: called.content },
        { role: "user", content: [result] },
        { role: "system", content: "Be brief." },
      ],
    },
    { headers: { "anthropic-version": "2023-06-01" } },
  );
  expect(await answer.json()).toMatchObject({
    stop_reason: "end_turn",
    content: [{ text: expect.stringContaining("forty-two") }],
  });
});
