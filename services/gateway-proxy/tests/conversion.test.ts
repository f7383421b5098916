import type { TokenCounts } from "@codex/contracts";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { folded, meaning, recording, type Json, type Wire } from "./_conversations.ts";
import {
  asksForStream,
  modelAt,
  pairs,
  play,
  startConversionWorld,
  wireOf,
  type Client,
  type ConversionWorld,
} from "./_conversion-world.ts";
import { readEvents, recordOf, toldCost } from "./_streams.ts";
import type { Answer } from "./_world.ts";

// A client of one dialect at a channel of another: what the client hears, what the upstream is asked, and what it costs.

const leaks = leakCheck();
let world: ConversionWorld;

beforeAll(async () => {
  world = await startConversionWorld();
  world.scripted.script = play("text");
  for (const wire of ["chat", "messages", "responses", "gemini"] as const) {
    await eventually(async () => (await world.ask("chat", modelAt(wire))).status === 200, {
      what: `${wire} to be live`,
    });
  }
}, 60_000);

beforeEach(() => {
  world.scripted.calls.length = 0;
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const heard = (client: Client, answer: Answer, stream: boolean): Json =>
  stream ? folded(client, answer.text) : answer.body;

const endMarks = { chat: "data: [DONE]\n\n", messages: '{"type":"message_stop"}\n\n', responses: "" } as const;
const names = ["text", "tools", "reasoning", "refusal", "length"] as const;
const cases = pairs.flatMap(([client, wire]) =>
  names.flatMap((name) => [false, true].map((stream) => ({ client, wire, name, stream }))),
);

test.each(cases)(
  "given a $client client, when $wire answers with $name (stream: $stream), then it hears the same, under its own model's name, with the cost",
  async ({ client, wire, name, stream }) => {
    world.scripted.script = play(name);
    const answer = await world.ask(client, modelAt(wire), { stream });
    expect(answer.status).toBe(200);
    expect(world.scripted.calls.map((call) => [wireOf(call), asksForStream(call)])).toEqual([[wire, stream]]);
    const whole = heard(client, answer, stream);
    expect(meaning(client, whole)).toEqual(meaning(wire, folded(wire, recording(wire, name))));
    expect(whole["model"]).toBe(modelAt(wire));
    if (stream) expect(answer.text.endsWith(endMarks[client])).toBe(true);
    expect(answer.text).not.toContain("\r");
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ status: "ok", estimated: false, streamed: stream, errorCode: null });
    expect(toldCost(whole["usage"])).toBe(record.costMicroTokens);
    expect(record.costMicroTokens).toBeGreaterThan(0n);
  },
);

/** Of the recording `text` of each: disjoint, by the price book's classes. */
const counted: Readonly<Record<Wire, TokenCounts>> = {
  messages: { input: 25, cachedInput: 900, cacheWrite: 200, cacheWrite1h: 100, output: 9, reasoning: 0 },
  responses: { input: 76, cachedInput: 1_024, cacheWrite: 100, cacheWrite1h: 0, output: 6, reasoning: 3 },
  chat: { input: 76, cachedInput: 1_024, cacheWrite: 100, cacheWrite1h: 0, output: 6, reasoning: 3 },
  gemini: { input: 176, cachedInput: 1_024, cacheWrite: 0, cacheWrite1h: 0, output: 6, reasoning: 3 },
};

describe("the charge", () => {
  test.each(pairs)(
    "given a %s client at %s, then each class is counted and charged as in a native call",
    async (client, wire) => {
      world.scripted.script = play("text");
      // A hold that covers the dearest class of each token.
      const ask = (by: Client, stream: boolean): Promise<Answer> =>
        world.ask(by, modelAt(wire), { stream, ...padding(by) });
      const answers = [await ask(client, false), await ask(client, true)];
      if (wire !== "gemini") answers.push(await ask(wire, false), await ask(wire, true));
      const records = [];
      for (const answer of answers) records.push(await recordOf(world, answer));
      expect(records.map(({ tokens }) => tokens)).toEqual(records.map(() => counted[wire]));
      expect(new Set(records.map(({ costMicroTokens }) => costMicroTokens)).size).toBe(1);
    },
  );

  test("given thinking tokens, then they are reasoning for a converted and a native client alike", async () => {
    world.scripted.script = play("reasoning");
    for (const client of ["chat", "responses", "messages"] as const) {
      for (const stream of [true, false]) {
        const record = await recordOf(world, await world.ask(client, modelAt("messages"), { stream }));
        expect(record.tokens).toMatchObject({ input: 20, output: 10, reasoning: 40 });
      }
    }
  });
});

/** A prompt as long as the recordings say it was. */
function padding(client: Client): Json {
  const words = "word ".repeat(600);
  return client === "responses" ? { input: words } : { messages: [{ role: "user", content: words }] };
}

describe("what the upstream is asked", () => {
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
  const schema = {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  };
  const tool = { name: "get_weather", description: "of a city" };
  const full: Readonly<Record<Client, Json>> = {
    chat: {
      max_completion_tokens: 77,
      user: "somebody",
      messages: [
        { role: "system", content: "be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "what is it" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } },
          ],
        },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "call_1", type: "function", function: { name: tool.name, arguments: '{"city":"Omsk"}' } }],
        },
        { role: "tool", tool_call_id: "call_1", content: "sunny" },
      ],
      tools: [{ type: "function", function: { ...tool, parameters: schema } }],
      response_format: { type: "json_schema", json_schema: { name: "city", schema } },
      reasoning_effort: "high",
    },
    messages: {
      max_tokens: 77,
      metadata: { user_id: "somebody" },
      system: "be brief",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "what is it" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } },
          ],
        },
        { role: "assistant", content: [{ type: "tool_use", id: "call_1", name: tool.name, input: { city: "Omsk" } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", content: "sunny" }] },
      ],
      tools: [{ ...tool, input_schema: schema }],
      thinking: { type: "adaptive" },
      output_config: { effort: "high", format: { type: "json_schema", schema } },
    },
    responses: {
      max_output_tokens: 77,
      safety_identifier: "somebody",
      instructions: "be brief",
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: "what is it" },
            { type: "input_image", image_url: `data:image/png;base64,${pixel}`, detail: "auto" },
          ],
        },
        { type: "function_call", call_id: "call_1", name: tool.name, arguments: '{"city":"Omsk"}' },
        { type: "function_call_output", call_id: "call_1", output: "sunny" },
      ],
      tools: [{ type: "function", ...tool, parameters: schema, strict: false }],
      text: { format: { type: "json_schema", name: "city", schema } },
      reasoning: { effort: "high" },
    },
  };

  const expected: Readonly<Record<Wire, Json>> = {
    chat: {
      model: "up-model-at-chat",
      max_tokens: 77,
      messages: [
        { role: expect.stringMatching(/^(system|developer)$/), content: "be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "what is it" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } },
          ],
        },
        {
          role: "assistant",
          tool_calls: [{ id: "call_1", type: "function", function: { name: tool.name, arguments: '{"city":"Omsk"}' } }],
        },
        { role: "tool", tool_call_id: "call_1", content: "sunny" },
      ],
      tools: [{ type: "function", function: { ...tool, parameters: schema } }],
      response_format: { type: "json_schema", json_schema: { schema } },
      reasoning_effort: "high",
    },
    messages: {
      model: "up-model-at-messages",
      max_tokens: 77,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "what is it" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } },
          ],
        },
        { role: "assistant", content: [{ type: "tool_use", id: "call_1", name: tool.name, input: { city: "Omsk" } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1" }] },
      ],
      tools: [{ ...tool, input_schema: schema }],
      thinking: { type: "adaptive" },
      output_config: { effort: "high", format: { type: "json_schema", schema } },
    },
    responses: {
      model: "up-model-at-responses",
      max_output_tokens: 77,
      store: false,
      instructions: "be brief",
      tools: [{ type: "function", ...tool, parameters: schema, strict: false }],
      text: { format: { type: "json_schema", schema } },
      reasoning: { effort: "high" },
    },
    gemini: {
      systemInstruction: { parts: [{ text: "be brief" }] },
      contents: [
        { role: "user", parts: [{ text: "what is it" }, { inlineData: { mimeType: "image/png", data: pixel } }] },
        { role: "model", parts: [{ functionCall: { name: tool.name, args: { city: "Omsk" } } }] },
        { role: "user", parts: [{ functionResponse: { name: tool.name } }] },
      ],
      tools: [{ functionDeclarations: [{ ...tool, parametersJsonSchema: schema }] }],
      generationConfig: { maxOutputTokens: 77, responseMimeType: "application/json", responseJsonSchema: schema },
    },
  };

  const clientHeaders = {
    "anthropic-version": "2026-10-21",
    "anthropic-beta": "context-1m-2025-08-07",
    "openai-beta": "responses=v1",
    "x-codex-beta-features": "a",
  };

  test.each(pairs)(
    "given a %s client's image, tools, results, schema and effort, when %s is asked, then all of it is there, in its own words",
    async (client, wire) => {
      world.scripted.script = play("text");
      for (const stream of [false, true]) {
        expect((await world.ask(client, modelAt(wire), { ...full[client], stream }, clientHeaders)).status).toBe(200);
        const { body, headers } = world.scripted.calls.at(-1)!;
        expect(body).toMatchObject(expected[wire]);
        expect(JSON.stringify(body)).not.toContain("somebody");
        // The body is ours: nothing that the client's headers say is true of it.
        expect(headers["anthropic-version"]).toBe(wire === "messages" ? "2023-06-01" : undefined);
        for (const name of ["anthropic-beta", "openai-beta", "x-codex-beta-features"])
          expect(headers).not.toHaveProperty(name);
      }
    },
  );

  test.each(pairs)(
    "given a %s client without a bound, when %s is asked, then the hold's bound is",
    async (client, wire) => {
      if (client === "messages") return;
      world.scripted.script = play("text");
      await world.ask(client, modelAt(wire));
      const { body } = world.scripted.calls.at(-1)!;
      const config = body["generationConfig"] as Json | undefined;
      expect(body["max_tokens"] ?? body["max_output_tokens"] ?? config?.["maxOutputTokens"]).toBe(4_096);
    },
  );

  test("given what the first dialect of a kind cannot say and the second can, then it goes in the second", async () => {
    world.scripted.script = play("text");
    const answer = await world.ask("messages", modelAt("responses"), { stop_sequences: ["END"] });
    expect(answer.status).toBe(200);
    expect(world.scripted.calls.map(wireOf)).toEqual(["chat"]);
    expect(world.scripted.calls[0]?.body).toMatchObject({ stop: ["END"], max_completion_tokens: 500 });
    // Claude Code asks for one token to see whether it may.
    await world.ask("messages", modelAt("responses"), { max_tokens: 1 });
    expect(world.scripted.calls.map(wireOf)).toEqual(["chat", "chat"]);
  });
});

describe("at a channel of Azure's, which speaks chat and responses under paths of its own", () => {
  const deployment = "/openai/deployments/up-model-at-azure/chat/completions?api-version=2024-10-21";
  const model = "model-at-azure";

  beforeAll(async () => {
    await world.connect("azure-openai", [model], { baseUrl: new URL(world.scripted.url).origin });
    world.scripted.script = play("text");
    await eventually(async () => (await world.ask("chat", model)).status === 200, { what: "azure to be live" });
  });

  test.each(names.flatMap((name) => [false, true].map((stream) => ({ name, stream }))))(
    "given a messages client, when the deployment answers with $name (stream: $stream), then it hears the same, and pays for it",
    async ({ name, stream }) => {
      world.scripted.script = play(name);
      const answer = await world.ask("messages", model, { stream });
      expect(answer.status).toBe(200);
      expect(world.scripted.calls.map(({ path }) => path)).toEqual([deployment]);
      const whole = heard("messages", answer, stream);
      expect(meaning("messages", whole)).toEqual(meaning("chat", folded("chat", recording("chat", name))));
      expect(whole["model"]).toBe(model);
      const record = await recordOf(world, answer);
      expect(record).toMatchObject({ status: "ok", estimated: false });
      expect(toldCost(whole["usage"])).toBe(record.costMicroTokens);
    },
  );

  test("given a responses client, then it is native there, with the deployment's name in the body; the key is in Azure's own header", async () => {
    world.scripted.script = play("text");
    const answer = await world.ask("responses", model, {
      tools: [{ type: "custom", name: "shell", description: "takes text" }],
    });
    expect(answer.status).toBe(200);
    const [call] = world.scripted.calls;
    expect(call?.path).toBe("/openai/v1/responses");
    expect(call?.body).toMatchObject({ model: "up-model-at-azure", store: false });
    expect(call?.headers["api-key"]).toMatch(/^sk-azure-openai/);
    expect(call?.key).toBeUndefined();
  });
});

test("given a turn with sealed thinking, when it is sent back, then the upstream gets its own signature", async () => {
  world.scripted.script = play("reasoning");
  const first = await world.ask("chat", modelAt("messages"), { stream: true });
  const { message } = (folded("chat", first.text)["choices"] as readonly { readonly message: Json }[])[0]!;
  const results = [{ role: "tool", tool_call_id: "toolu_01C", content: "noted" }];
  await world.ask("chat", modelAt("messages"), { messages: [{ role: "user", content: "hi" }, message, ...results] });
  const { messages } = world.scripted.calls.at(-1)!.body as {
    readonly messages: readonly { readonly content: unknown }[];
  };
  expect(messages[1]?.content).toMatchObject([
    { type: "thinking", thinking: "Think more", signature: "c2lnbmF0dXJl" },
    { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" },
    { type: "text", text: "42" },
    { type: "tool_use", name: "note", input: { n: 42 } },
  ]);
});

test("given several answers are asked for, then a provider that knows it gives them", async () => {
  world.scripted.script = (_call, res) => {
    const candidate = (text: string, index: number) => ({
      content: { parts: [{ text }] },
      index,
      finishReason: "STOP",
    });
    const usageMetadata = { promptTokenCount: 2, candidatesTokenCount: 2, totalTokenCount: 4 };
    res.writeHead(200, { "content-type": "application/json" });
    res.end(JSON.stringify({ candidates: [candidate("a", 0), candidate("b", 1)], usageMetadata }));
  };
  const answer = await world.ask("chat", modelAt("gemini"), { n: 2 });
  expect(answer.body["choices"]).toMatchObject([{ message: { content: "a" } }, { message: { content: "b" } }]);
  expect(world.scripted.calls[0]?.body).toMatchObject({ generationConfig: { candidateCount: 2 } });
});

test("given events in a converted stream, then each of them is of the client's dialect", async () => {
  world.scripted.script = play("tools");
  const messages = readEvents((await world.ask("messages", modelAt("chat"), { stream: true })).text);
  expect(messages.map(({ name, data }) => name === data["type"])).not.toContain(false);
  const responses = readEvents((await world.ask("responses", modelAt("gemini"), { stream: true })).text);
  expect(responses.map(({ data }) => data["sequence_number"])).toEqual(responses.map((_event, index) => index));
});
