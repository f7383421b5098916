import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import OpenAI, { APIError, AuthenticationError, NotFoundError, RateLimitError, toFile } from "openai";
import { pixel, startSdkWorld, type SdkWorld } from "./_gateway.ts";
import type { Payer } from "./_payer.ts";

// The official `openai` package through the gateway.

const leaks = leakCheck();
let world: SdkWorld;
/** Of one test each, so that its rows can be held against what the upstream counted. */
let payer: Payer;
let client: OpenAI;

beforeAll(async () => {
  world = await startSdkWorld();
}, 60_000);

beforeEach(() => {
  payer = world.payer();
  const { apiKey, fetch } = payer;
  client = new OpenAI({ baseURL: `${world.gateway.httpUrl ?? ""}/v1`, apiKey, fetch, timeout: 20_000 });
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const messages = [{ role: "user" as const, content: "Say hello" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const costOf = (usage: unknown): number => (usage as { cost: number }).cost;

describe("chat completions", () => {
  test("plain: an answer with usage and cost, and the request id that we gave", async () => {
    const answer = await client.chat.completions.create({ model: "demo-large", messages });
    expect(answer.choices[0]?.message.content).toContain("demo");
    expect(costOf(answer.usage)).toBeGreaterThan(0);
    expect(answer._request_id).toMatch(/^req_/);
    await payer.charged(1);
  });

  test("streamed: deltas, then usage with the cost in the last chunk", async () => {
    const stream = await client.chat.completions.create({ model: "demo-large", messages, stream: true });
    let text = "";
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toContain("demo");
    expect(costOf(usage)).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("tools: the helper gets a whole call out of streamed fragments, and goes on with its result", async () => {
    const tools = [{ type: "function" as const, function: { name: "weather", parameters } }];
    const ask = [{ role: "user" as const, content: "weather in Omsk" }];
    const first = await client.chat.completions.stream({ model: "demo-tools", messages: ask, tools }).finalMessage();
    const call = first.tool_calls?.[0];
    expect(call).toMatchObject({ type: "function", function: { name: "weather" } });
    expect(JSON.parse((call as { function: { arguments: string } }).function.arguments)).toHaveProperty("city");
    const next = await client.chat.completions.create({
      model: "demo-tools",
      tools,
      messages: [...ask, first, { role: "tool", tool_call_id: call!.id, content: "sunny" }],
    });
    expect(next.choices[0]?.finish_reason).toBe("stop");
    await payer.charged(2);
  });

  test("image input and structured output", async () => {
    const answer = await client.chat.completions.create({
      model: "demo-large",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } },
          ],
        },
      ],
      response_format: { type: "json_schema", json_schema: { name: "city", schema: parameters } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toHaveProperty("city");
    await payer.charged(1);
  });

  test("reasoning tokens are told", async () => {
    const answer = await client.chat.completions.create({
      model: "demo-reasoning",
      messages,
      reasoning_effort: "high",
    });
    expect(answer.usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("abort: the row says that the client left", async () => {
    const stream = await client.chat.completions.create({ model: "demo-silence-6", messages, stream: true });
    await stream[Symbol.asyncIterator]().next();
    stream.controller.abort();
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ status: "client_closed", streamed: true, estimated: true });
  });

  test("a cut stream throws, it does not end", async () => {
    const stream = await client.chat.completions.create({ model: "demo-midstream-cut-6", messages, stream: true });
    await expect(stream.toReadableStream().pipeTo(new WritableStream())).rejects.toThrow(APIError);
    await payer.charged(1);
  });
});

describe("responses", () => {
  test("plain: text, usage and cost", async () => {
    const answer = await client.responses.create({ model: "demo-large", input: "hello" });
    expect(answer.output_text).toContain("demo");
    expect(costOf(answer.usage)).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("streamed by the helper: it finds every event that it needs, and the final response is complete", async () => {
    const stream = client.responses.stream({ model: "demo-large", input: "hello" });
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => (text += delta));
    const final = await stream.finalResponse();
    expect(final.status).toBe("completed");
    expect(text).toBe(final.output_text);
    expect(costOf(final.usage)).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("tools, structured output, image input and reasoning", async () => {
    const tools = [{ type: "function" as const, name: "weather", parameters, strict: false }];
    const called = await client.responses.stream({ model: "demo-tools", input: "weather", tools }).finalResponse();
    expect(called.output[0]).toMatchObject({ type: "function_call", name: "weather" });
    const format = { type: "json_schema" as const, name: "city", schema: parameters };
    const content = [
      { type: "input_text" as const, text: "?" },
      { type: "input_image" as const, image_url: `data:image/png;base64,${pixel}`, detail: "low" as const },
    ];
    const structured = await client.responses.create({
      model: "demo-large",
      input: [{ role: "user", content }],
      text: { format },
    });
    expect(JSON.parse(structured.output_text)).toHaveProperty("city");
    const thought = await client.responses.create({
      model: "demo-reasoning",
      input: "hm",
      reasoning: { effort: "low" },
    });
    expect(thought.output[0]?.type).toBe("reasoning");
    expect(thought.usage?.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
    await payer.charged(3);
  });
});

describe("at an Anthropic channel, by conversion", () => {
  const model = "anthropic demo-large";
  test("plain: text, the model's own name, usage with the cost", async () => {
    const answer = await client.chat.completions.create({ model, messages });
    expect(answer.choices[0]).toMatchObject({ finish_reason: "stop", message: { role: "assistant" } });
    expect(answer.choices[0]?.message.content).toContain("demo");
    expect(answer.model).toBe(model);
    expect(costOf(answer.usage)).toBeGreaterThan(0);
    const response = await client.responses.create({ model, input: "hello" });
    expect(response.output_text).toContain("demo");
    expect(costOf(response.usage)).toBeGreaterThan(0);
    await payer.charged(2);
  });

  test("streamed by the helpers: the whole answer, and the cost in its last usage", async () => {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = "";
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toContain("demo");
    expect(costOf(usage)).toBeGreaterThan(0);
    const final = await client.responses.stream({ model, input: "hello" }).finalResponse();
    expect(final.status).toBe("completed");
    expect(final.output_text).toContain("demo");
    await payer.charged(2);
  });

  test("tools: a call out of streamed fragments, then its result", async () => {
    const tools = [{ type: "function" as const, function: { name: "weather", parameters } }];
    const ask = [{ role: "user" as const, content: "weather in Omsk" }];
    const asked = { model: "anthropic demo-tools", tools };
    const first = await client.chat.completions.stream({ ...asked, messages: ask }).finalMessage();
    const call = first.tool_calls?.[0];
    expect(call).toMatchObject({ type: "function", function: { name: "weather" } });
    expect(JSON.parse((call as { function: { arguments: string } }).function.arguments)).toHaveProperty("city");
    const result = { role: "tool" as const, tool_call_id: call!.id, content: "sunny" };
    const next = await client.chat.completions.create({ ...asked, messages: [...ask, first, result] });
    expect(next.choices[0]?.finish_reason).toBe("stop");
    await payer.charged(2);
  });

  test("a cut stream throws, and what cannot be said there is a BadRequestError by name", async () => {
    const cut = client.chat.completions.stream({ model: "anthropic demo-midstream-cut-6", messages }).finalMessage();
    await expect(cut).rejects.toThrow(APIError);
    const other = world.payer();
    const refused: unknown = await client
      .withOptions({ apiKey: other.apiKey, fetch: other.fetch })
      .chat.completions.create({ model, messages, logprobs: true })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 400, param: "logprobs", code: "unsupported_parameter" });
    other.nothingCharged();
    await payer.charged(1);
  });
});

describe("the other routes", () => {
  test("embeddings: the package asks for base64 and decodes it", async () => {
    const { data, usage } = await client.embeddings.create({ model: "demo-embedding", input: "one", dimensions: 4 });
    expect(data[0]?.embedding).toHaveLength(4);
    expect(Math.hypot(...(data[0]?.embedding ?? []))).toBeCloseTo(1);
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    await payer.charged(1);
  });

  test("completions, moderations, models", async () => {
    const text = await client.completions.create({ model: "demo-large", prompt: "Once", max_tokens: 5 });
    expect(text.choices[0]?.finish_reason).toBe("length");
    expect((await client.moderations.create({ model: "demo-moderation", input: "violence" })).results[0]?.flagged).toBe(
      true,
    );
    const names: string[] = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names).toContain("demo-large");
    await payer.charged(2, ["demo-moderation"]);
  });

  test("pictures: made, edited from a file, streamed", async () => {
    const small = { model: "demo-image", prompt: "a cat", size: "1024x1024" as const, quality: "low" as const };
    expect((await client.images.generate(small)).data?.[0]?.b64_json).toBeTruthy();
    const image = await toFile(Buffer.from(pixel, "base64"), "a.png", { type: "image/png" });
    expect((await client.images.edit({ ...small, image })).data).toHaveLength(1);
    const stream = await client.images.generate({ ...small, stream: true, partial_images: 1 });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual(["image_generation.partial_image", "image_generation.completed"]);
    await payer.charged(3);
  });

  test("sound: spoken, and written down again", async () => {
    const spoken = await client.audio.speech.create({
      model: "demo-speech",
      voice: "alloy",
      input: "hello world",
      response_format: "wav",
    });
    const file = await toFile(Buffer.from(await spoken.arrayBuffer()), "a.wav");
    const heard = await client.audio.transcriptions.create({ model: "demo-transcribe", file });
    expect(heard.text).toContain("seconds");
    await payer.charged(2, ["demo-speech"]);
  });
});

describe("errors: the right class, and no retry where a retry cannot help", () => {
  test("401 and 402 are sent once, with their codes", async () => {
    const wrong = client.withOptions({ apiKey: "sk-wrong" }).chat.completions.create({ model: "demo-large", messages });
    await expect(wrong).rejects.toThrow(AuthenticationError);
    expect(payer.sent()).toBe(1);
    const poor = world.payer(0n);
    const failure: unknown = await client
      .withOptions({ apiKey: poor.apiKey, fetch: poor.fetch })
      .responses.create({ model: "demo-large", input: "x" })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ status: 402, code: "insufficient_quota", type: "insufficient_quota" });
    expect(poor.sent()).toBe(1);
  });

  test("404 names the nearest model; 429 is tried again after the wait that we name", async () => {
    const unknown = client.chat.completions.create({ model: "demo-smal", messages });
    await expect(unknown).rejects.toThrow(NotFoundError);
    await expect(unknown).rejects.toThrow("demo-small");
    expect(payer.sent()).toBe(1);
    const limited = client.chat.completions.create({ model: "demo-error-429-1", messages });
    await expect(limited).rejects.toThrow(RateLimitError);
    expect(payer.sent()).toBe(4);
    payer.nothingCharged();
  });
});
