import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { HumanMessage, ToolMessage, type AIMessageChunk } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { pixel, startSdkWorld, type SdkWorld } from "./_gateway.ts";
import type { Payer } from "./_payer.ts";

// The official `@langchain/openai` package through the gateway: chat completions, responses and embeddings.

const leaks = leakCheck();
let world: SdkWorld;

beforeAll(async () => {
  world = await startSdkWorld();
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const configuration = ({ fetch }: Payer) => ({ baseURL: `${world.gateway.httpUrl ?? ""}/v1`, fetch });

const prompt = "Say hello";
const city = z.object({ city: z.string() });
const weather = tool(() => "sunny, 21 degrees", {
  name: "weather",
  description: "The weather of a city",
  schema: city,
});

describe.each([
  ["chat completions", "/v1/chat/completions", false],
  ["responses", "/v1/responses", true],
])("%s", (_name, route, useResponsesApi) => {
  function chat(
    payer: Payer,
    model: string,
    more: { maxRetries?: number; reasoning?: { effort: "high" } } = {},
  ): ChatOpenAI {
    return new ChatOpenAI({
      model,
      apiKey: payer.apiKey,
      configuration: configuration(payer),
      useResponsesApi,
      maxRetries: 0,
      ...more,
    });
  }

  test("plain: the text, and the tokens that are booked", async () => {
    const payer = world.payer();
    const answer = await chat(payer, "demo-large").invoke(prompt);
    expect(answer.text).toContain("demo");
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ route, status: "ok", streamed: false });
    expect(answer.usage_metadata).toMatchObject({ input_tokens: row!.tokens.input, output_tokens: row!.tokens.output });
  });

  test("streamed: many chunks that make the whole, with its usage", async () => {
    const payer = world.payer();
    let whole: AIMessageChunk | undefined;
    let chunks = 0;
    for await (const chunk of await chat(payer, "demo-large").stream(prompt)) {
      whole = whole ? whole.concat(chunk) : chunk;
      chunks += 1;
    }
    expect(chunks).toBeGreaterThan(3);
    expect(whole?.text).toContain("demo");
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ route, status: "ok", streamed: true });
    expect(whole?.usage_metadata).toMatchObject({ input_tokens: row!.tokens.input, output_tokens: row!.tokens.output });
  });

  test.each([false, true])(
    "tools (streamed: %s): the call has its arguments, and the answer the tool's result",
    async (streamed) => {
      const payer = world.payer();
      const bound = chat(payer, "demo-tools").bindTools([weather]);
      const question = new HumanMessage("Use weather for Omsk");
      const called = streamed ? await joined(await bound.stream([question])) : await bound.invoke([question]);
      const [call] = called.tool_calls ?? [];
      expect(call).toMatchObject({ name: "weather", args: { city: expect.any(String) } });
      const result: unknown = await weather.invoke(call!);
      expect(result).toBeInstanceOf(ToolMessage);
      const answer = await bound.invoke([question, called, result as ToolMessage]);
      expect(answer.text).toContain("sunny, 21 degrees");
      expect((await payer.charged(2)).map(({ status }) => status)).toEqual(["ok", "ok"]);
    },
  );

  test("abort: the client leaves, and what it had by then is charged", async () => {
    const payer = world.payer();
    const leave = new AbortController();
    const read = async (): Promise<void> => {
      for await (const chunk of await chat(payer, "demo-silence-6").stream(prompt, { signal: leave.signal })) {
        if (chunk.text !== "") leave.abort();
      }
    };
    await expect(read()).rejects.toThrow(/abort/i);
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ status: "client_closed", streamed: true, estimated: true });
    expect(row!.costMicroTokens).toBeGreaterThan(0n);
  });

  test("image input: the picture reaches the model", async () => {
    const payer = world.payer();
    const content = [
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } },
    ];
    await chat(payer, "demo-large").invoke([new HumanMessage({ content })]);
    const [row] = await payer.charged(1);
    // The demo counts a picture as 85 tokens; the words alone are fewer than 30.
    expect(row!.tokens.input).toBeGreaterThanOrEqual(85);
  });

  test.each(["jsonSchema", "functionCalling"] as const)(
    "structured by %s: the object fits the schema",
    async (method) => {
      const payer = world.payer();
      const answer = await chat(payer, "demo-large")
        .withStructuredOutput(city, { name: "city", method })
        .invoke(prompt);
      expect(answer).toEqual({ city: expect.any(String) });
      await payer.charged(1);
    },
  );

  test("reasoning: its tokens are told and billed in their own class", async () => {
    const payer = world.payer();
    const answer = await chat(payer, "demo-reasoning", { reasoning: { effort: "high" } }).invoke(prompt);
    const [row] = await payer.charged(1);
    expect(row!.tokens.reasoning).toBeGreaterThan(0);
    expect(answer.usage_metadata).toMatchObject({ output_token_details: { reasoning: row!.tokens.reasoning } });
  });

  test("a cut stream throws, it does not end, and the row says so", async () => {
    const payer = world.payer();
    const read = async (): Promise<AIMessageChunk> => joined(await chat(payer, "demo-midstream-cut-6").stream(prompt));
    await expect(read()).rejects.toThrow();
    expect((await payer.charged(1))[0]).toMatchObject({ status: "upstream_cut" });
  });

  test("401, 402 and 404 are sent once, with the reason, and nothing is booked", async () => {
    const payer = world.payer();
    const wrong = { ...payer, apiKey: "sk-wrong" };
    await expect(chat(wrong, "demo-large", { maxRetries: 3 }).invoke(prompt)).rejects.toMatchObject({ status: 401 });
    await expect(chat(payer, "demo-larg", { maxRetries: 3 }).invoke(prompt)).rejects.toThrow("demo-large");
    expect(payer.sent()).toBe(2);
    await payer.charged(0);
    const poor = world.payer(0n);
    await expect(chat(poor, "demo-large", { maxRetries: 3 }).invoke(prompt)).rejects.toMatchObject({ status: 402 });
    expect(poor.sent()).toBe(1);
    await poor.charged(0);
  });

  test("429 is tried again, and costs nothing", async () => {
    const payer = world.payer();
    await expect(chat(payer, "demo-error-429-1", { maxRetries: 1 }).invoke(prompt)).rejects.toMatchObject({
      status: 429,
    });
    expect(payer.sent()).toBe(2);
    // The second may meet a key that still rests after the first, and then reaches no provider.
    payer.nothingCharged();
  });
});

async function joined(stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> {
  let whole: AIMessageChunk | undefined;
  for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
  if (!whole) throw new Error("the stream had no chunk");
  return whole;
}

test("embeddings: the package asks for base64 and decodes it, one text and many", async () => {
  const payer = world.payer();
  const embeddings = new OpenAIEmbeddings({
    model: "demo-embedding",
    dimensions: 8,
    apiKey: payer.apiKey,
    configuration: configuration(payer),
  });
  const one = await embeddings.embedQuery("one");
  expect(Math.hypot(...one)).toBeCloseTo(1);
  const many = await embeddings.embedDocuments(["one", "two"]);
  expect(many[0]).toEqual(one);
  expect(many).toHaveLength(2);
  const rows = await payer.charged(2);
  expect(rows.map(({ tokens }) => tokens.output)).toEqual([0, 0]);
});
