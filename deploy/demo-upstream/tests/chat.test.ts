import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type OpenAI from "openai";
import type { RunningDemoUpstream } from "../src/server.ts";
import { itemTokens, promptTokens, textTokens, toolCallTokens } from "../src/usage.ts";
import { eventsOf, openai, post, readToTheEnd, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
let client: OpenAI;
beforeAll(async () => {
  demo = await startFast();
  client = openai(demo.url);
});
afterAll(() => demo.close());

const user = (content: string) => [{ role: "user" as const, content }];
const userTokens = (content: string) => promptTokens([{ role: "user", text: content, media: 0 }]);
const weather = {
  type: "function" as const,
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer", minimum: 2 }, unit: { enum: ["C", "F"] } },
      required: ["city", "days", "unit"],
    },
  },
};

describe("a plain chat completion", () => {
  test("given a Russian prompt, then the answer is Russian, says that it is a demo, and usage is the function of both texts", async () => {
    const prompt = "Привет, как дела?";
    const answer = await client.chat.completions.create({ model: "demo-small", messages: user(prompt) });
    const text = answer.choices[0]?.message.content ?? "";
    expect(text).toMatch(/^Привет! Я демо-модель/);
    expect(text).toContain(prompt);
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.usage).toMatchObject({
      prompt_tokens: userTokens(prompt),
      completion_tokens: textTokens(text),
      total_tokens: userTokens(prompt) + textTokens(text),
    });
  });

  test("given an English prompt, then the answer is English, and demo-large says more", async () => {
    const small = await client.chat.completions.create({ model: "demo-small", messages: user("hello") });
    const large = await client.chat.completions.create({ model: "demo-large", messages: user("hello") });
    expect(small.choices[0]?.message.content).toMatch(/^Hello! I am a demo model/);
    expect(large.usage?.completion_tokens).toBeGreaterThan(2 * (small.usage?.completion_tokens ?? Infinity));
  });

  test("given n and a limit by either name, then there are n choices of exactly that many tokens, finished by length", async () => {
    for (const limit of [{ max_tokens: 7 }, { max_completion_tokens: 7 }]) {
      const answer = await client.chat.completions.create({
        model: "demo-small",
        messages: user("hi"),
        n: 3,
        ...limit,
      });
      expect(answer.choices.map((choice) => choice.finish_reason)).toEqual(["length", "length", "length"]);
      expect(answer.choices.map((choice) => textTokens(choice.message.content ?? ""))).toEqual([7, 7, 7]);
      expect(answer.usage?.completion_tokens).toBe(21);
    }
  });

  test("given a stop word, then the answer ends before it", async () => {
    const answer = await client.chat.completions.create({ model: "demo-small", messages: user("hi"), stop: [" demo"] });
    expect(answer.choices[0]).toMatchObject({ message: { content: "Hello! I am a" }, finish_reason: "stop" });
  });

  test("given an image and tools in the prompt, then both are counted", async () => {
    const answer = await client.chat.completions.create({
      model: "demo-small",
      tools: [weather],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "what is it" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(4_000)}` } },
          ],
        },
      ],
    });
    // The image part adds the separator between parts, never its bytes.
    const message = itemTokens({ role: "user", text: "what is it\n", media: 1 });
    const tool = itemTokens({ role: "tool-definition", text: JSON.stringify(weather), media: 0 });
    expect(answer.usage?.prompt_tokens).toBe(3 + message + tool);
  });

  test("given demo-reasoning, then reasoning tokens are in the details and within the completion", async () => {
    const answer = await client.chat.completions.create({ model: "demo-reasoning", messages: user("why") });
    const reasoning = answer.usage?.completion_tokens_details?.reasoning_tokens ?? 0;
    expect(reasoning).toBeGreaterThan(10);
    expect(answer.usage?.completion_tokens).toBe(reasoning + textTokens(answer.choices[0]?.message.content ?? ""));
    const bounded = await client.chat.completions.create({
      model: "demo-reasoning",
      messages: user("why"),
      max_completion_tokens: reasoning,
    });
    expect(bounded.choices[0]).toMatchObject({ message: { content: "" }, finish_reason: "length" });
  });

  test("given a long conversation, then its earlier part is reported as cached, in steps of 128", async () => {
    const long = "word ".repeat(2_000);
    const first = await client.chat.completions.create({ model: "demo-small", messages: user(long) });
    expect(first.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
    const later = await client.chat.completions.create({
      model: "demo-small",
      messages: [...user(long), { role: "assistant", content: "ok" }, ...user("and now?")],
    });
    const cached = later.usage?.prompt_tokens_details?.cached_tokens ?? 0;
    expect(cached).toBeGreaterThanOrEqual(2_432);
    expect(cached % 128).toBe(0);
    expect(cached).toBeLessThan(later.usage?.prompt_tokens ?? 0);
  });

  test("given a JSON schema, then the answer is JSON of that shape; given logprobs, then they spell the answer", async () => {
    const answer = await client.chat.completions.create({
      model: "demo-small",
      messages: user("hi"),
      logprobs: true,
      response_format: {
        type: "json_schema",
        json_schema: { name: "x", schema: { type: "object", properties: { ok: { type: "boolean" } } } },
      },
    });
    const text = answer.choices[0]?.message.content ?? "";
    expect(JSON.parse(text)).toEqual({ ok: true });
    expect(answer.choices[0]?.logprobs?.content?.map((one) => one.token).join("")).toBe(text);
  });
});

describe("a streamed chat completion", () => {
  test("given include_usage, then the last chunk has no choices and the same usage as the plain answer", async () => {
    const request = { model: "demo-small", messages: user("Расскажи о себе"), n: 2 };
    const plain = await client.chat.completions.create(request);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const textOf = (index: number) =>
      chunks
        .flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index))
        .map((choice) => choice.delta.content ?? "")
        .join("");
    expect([textOf(0), textOf(1)]).toEqual(plain.choices.map((choice) => choice.message.content));
    expect(textOf(0)).not.toBe(textOf(1));
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: plain.usage });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null && chunk.choices.length === 1)).toBe(true);
    expect(chunks.length).toBeGreaterThan(20);
  });

  test("given no include_usage, then no chunk mentions usage and the stream ends in [DONE]", async () => {
    const response = await post(demo.url, "/v1/chat/completions", {
      model: "demo-small",
      messages: user("hi"),
      stream: true,
    });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const { text } = await readToTheEnd(response);
    expect(text).not.toContain("usage");
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(eventsOf(text).every((event) => event["object"] === "chat.completion.chunk")).toBe(true);
  });

  test("given pacing, then chunks come one after another and not at once", async () => {
    const startedMs = performance.now();
    const response = await post(demo.url, "/v1/chat/completions?pace=10", {
      model: "demo-small",
      messages: user("hi"),
      max_tokens: 10,
      stream: true,
    });
    await readToTheEnd(response);
    expect(performance.now() - startedMs).toBeGreaterThan(50);
  });
});

describe("tools", () => {
  const ask = { model: "demo-tools", messages: user("Какая погода в Казани?"), tools: [weather] };

  test("given demo-tools and a tool, then it is called with arguments that fit its schema, and counted", async () => {
    const answer = await client.chat.completions.create(ask);
    const choice = answer.choices[0];
    const call = choice?.message.tool_calls?.[0];
    if (call?.type !== "function") throw new Error("no function call");
    expect(choice).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    expect(call.id).toMatch(/^call_/);
    expect(JSON.parse(call.function.arguments)).toEqual({ city: "Какая погода в Казани?", days: 2, unit: "C" });
    expect(answer.usage?.completion_tokens).toBe(
      toolCallTokens({ name: "get_weather", argumentsJson: call.function.arguments }),
    );
  });

  test("given a stream, then arguments come in fragments that join to the plain answer's", async () => {
    const plain = await client.chat.completions.create(ask);
    const stream = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
    let fragments = 0;
    stream.on("chunk", (chunk) => {
      if (chunk.choices[0]?.delta.tool_calls?.[0]?.function?.arguments) fragments += 1;
    });
    const final = await stream.finalChatCompletion();
    expect(fragments).toBeGreaterThan(3);
    expect(final.choices[0]?.message.tool_calls).toMatchObject(plain.choices[0]?.message.tool_calls ?? []);
    expect(final.usage).toEqual(plain.usage);
  });

  test("given the tool's result, then the model answers in words; given tool_choice, then it is obeyed", async () => {
    const first = await client.chat.completions.create(ask);
    const message = first.choices[0]!.message;
    const after = await client.chat.completions.create({
      ...ask,
      messages: [
        ...ask.messages,
        message,
        { role: "tool", tool_call_id: message.tool_calls![0]!.id, content: "+21, ясно" },
      ],
    });
    expect(after.choices[0]).toMatchObject({ finish_reason: "stop" });
    expect(after.choices[0]?.message.content).toContain("+21, ясно");
    const none = await client.chat.completions.create({ ...ask, tool_choice: "none" });
    expect(none.choices[0]?.message.tool_calls).toBeUndefined();
    const required = await client.chat.completions.create({ ...ask, model: "demo-small", tool_choice: "required" });
    expect(required.choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("given two tools named in the prompt, then both are called, unless parallel calls are off", async () => {
    const other = { type: "function" as const, function: { name: "get_time", parameters: { type: "object" } } };
    const both = { ...ask, messages: user("call get_time and get_weather"), tools: [weather, other] };
    const stream = client.chat.completions.stream(both);
    const calls = (await stream.finalChatCompletion()).choices[0]?.message.tool_calls ?? [];
    expect(calls.map((call) => (call.type === "function" ? call.function.name : ""))).toEqual([
      "get_weather",
      "get_time",
    ]);
    expect(new Set(calls.map((call) => call.id)).size).toBe(2);
    const one = await client.chat.completions.create({ ...both, parallel_tool_calls: false });
    expect(one.choices[0]?.message.tool_calls).toHaveLength(1);
  });
});
