import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  APICallError,
  embed,
  generateText,
  isStepCount,
  Output,
  RetryError,
  streamText,
  tool,
  type LanguageModel,
} from "ai";
import { z } from "zod";
import { pixel, startSdkWorld, type SdkWorld } from "./_gateway.ts";
import type { Payer } from "./_payer.ts";

// The `ai` package with three official providers through the gateway: four ways to say the same, and one charge for each.

const leaks = leakCheck();
let world: SdkWorld;

beforeAll(async () => {
  // It says of every model that it has never heard of it.
  globalThis.AI_SDK_LOG_WARNINGS = false;
  world = await startSdkWorld();
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

/** How a way to the gateway makes its models, and the path they ask. */
interface Way {
  readonly route: string;
  readonly model: (payer: Payer, name: string) => LanguageModel;
}

const settings = ({ apiKey, fetch }: Payer) => ({ baseURL: `${world.gateway.httpUrl ?? ""}/v1`, apiKey, fetch });

const ways: Readonly<Record<string, Way>> = {
  "@ai-sdk/openai": { route: "/v1/responses", model: (payer, name) => createOpenAI(settings(payer))(name) },
  "@ai-sdk/openai .chat": {
    route: "/v1/chat/completions",
    model: (payer, name) => createOpenAI(settings(payer)).chat(name),
  },
  "@ai-sdk/anthropic": { route: "/v1/messages", model: (payer, name) => createAnthropic(settings(payer))(name) },
  "@ai-sdk/openai-compatible": {
    route: "/v1/chat/completions",
    model: (payer, name) =>
      createOpenAICompatible({
        ...settings(payer),
        name: "gateway",
        includeUsage: true,
        supportsStructuredOutputs: true,
      })(name),
  },
};

/** What belongs to each provider alone. The provider keeps nothing of a conversation here; models it does not know may reason all the same. */
const providerOptions = { openai: { store: false, forceReasoning: true } };
const prompt = "Say hello";
const city = z.object({ city: z.string() });

describe.each(Object.entries(ways))("%s", (_name, { route, model }) => {
  test("plain: the text, and the tokens that are booked", async () => {
    const payer = world.payer();
    const { text, usage } = await generateText({ model: model(payer, "demo-large"), prompt });
    expect(text).toContain("demo");
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ route, model: "demo-large", status: "ok", streamed: false });
    expect(usage).toMatchObject({ inputTokens: row!.tokens.input, outputTokens: row!.tokens.output });
  });

  test("streamed: many parts, an end, and the tokens that are booked", async () => {
    const payer = world.payer();
    const stream = streamText({ model: model(payer, "demo-large"), prompt });
    const parts: string[] = [];
    for await (const part of stream.textStream) parts.push(part);
    expect(parts.length).toBeGreaterThan(3);
    expect(await stream.finishReason).toBe("stop");
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ route, status: "ok", streamed: true });
    expect(await stream.usage).toMatchObject({ inputTokens: row!.tokens.input, outputTokens: row!.tokens.output });
  });

  test.each([false, true])(
    "tools (streamed: %s): the tool runs, its result goes back, the answer has it",
    async (streamed) => {
      const payer = world.payer();
      const asked: unknown[] = [];
      const weather = tool({
        description: "The weather of a city",
        inputSchema: city,
        execute: (input) => {
          asked.push(input);
          return "sunny, 21 degrees";
        },
      });
      const ask = {
        model: model(payer, "demo-tools"),
        prompt: "Use weather for Omsk",
        tools: { weather },
        stopWhen: isStepCount(3),
        providerOptions,
      };
      const text = streamed ? await streamText(ask).text : (await generateText(ask)).text;
      expect(asked).toEqual([{ city: expect.any(String) }]);
      expect(text).toContain("sunny, 21 degrees");
      expect((await payer.charged(2)).map(({ status }) => status)).toEqual(["ok", "ok"]);
    },
  );

  test("abort: the client leaves, and what it had by then is charged", async () => {
    const payer = world.payer();
    const leave = new AbortController();
    const stream = streamText({ model: model(payer, "demo-silence-6"), prompt, abortSignal: leave.signal });
    let aborted = false;
    for await (const part of stream.stream) {
      if (part.type === "text-delta") leave.abort();
      aborted ||= part.type === "abort";
    }
    expect(aborted).toBe(true);
    const [row] = await payer.charged(1);
    expect(row).toMatchObject({ status: "client_closed", streamed: true, estimated: true });
    expect(row!.costMicroTokens).toBeGreaterThan(0n);
    expect(payer.sent()).toBe(1);
  });

  test("image input: the picture reaches the model", async () => {
    const payer = world.payer();
    const picture = { type: "file" as const, mediaType: "image/png", data: Buffer.from(pixel, "base64") };
    const content = [{ type: "text" as const, text: "What is it?" }, picture];
    await generateText({ model: model(payer, "demo-large"), messages: [{ role: "user", content }] });
    const [row] = await payer.charged(1);
    // The demo counts a picture as 85 tokens; the words alone are fewer than 30.
    expect(row!.tokens.input).toBeGreaterThanOrEqual(85);
  });

  test("structured: the object fits the schema", async () => {
    const payer = world.payer();
    const output = Output.object({ schema: city });
    const answer = await generateText({ model: model(payer, "demo-large"), prompt, output });
    expect(answer.output).toEqual({ city: expect.any(String) });
    await payer.charged(1);
  });

  test("reasoning: it is asked for and told, or billed in its own class", async () => {
    const payer = world.payer();
    const ask = { model: model(payer, "demo-reasoning"), prompt, reasoning: "high" as const, providerOptions };
    const { finalStep, usage } = await generateText(ask);
    const [row] = await payer.charged(1);
    if (route === "/v1/messages") expect(finalStep.reasoningText).toContain("demo");
    else expect(usage.outputTokenDetails.reasoningTokens).toBe(row!.tokens.reasoning);
    expect(row!.tokens.reasoning > 0).toBe(route !== "/v1/messages");
  });

  test("a cut stream is an error, not an end, and the row says so", async () => {
    const payer = world.payer();
    const errors: unknown[] = [];
    const stream = streamText({
      model: model(payer, "demo-midstream-cut-6"),
      prompt,
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    await stream.consumeStream();
    expect(errors.length).toBeGreaterThan(0);
    expect((await payer.charged(1))[0]).toMatchObject({ status: "upstream_cut" });
  });

  test("402: sent once, with the reason, and nothing is booked", async () => {
    const payer = world.payer(0n);
    const failure: unknown = await generateText({ model: model(payer, "demo-large"), prompt }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(APICallError);
    expect(failure).toMatchObject({ statusCode: 402, isRetryable: false });
    expect(payer.sent()).toBe(1);
    await payer.charged(0);
  });

  test("404 names the nearest model; 429 is tried again, and neither costs anything", async () => {
    const payer = world.payer();
    await expect(generateText({ model: model(payer, "demo-larg"), prompt })).rejects.toThrow("demo-large");
    expect(payer.sent()).toBe(1);
    await payer.charged(0);
    const limited = generateText({ model: model(payer, "demo-error-429-1"), prompt, maxRetries: 1 });
    await expect(limited).rejects.toThrow(RetryError);
    expect(payer.sent()).toBe(3);
    // The second may meet a key that still rests after the first, and then reaches no provider.
    payer.nothingCharged();
  });
});

test("@ai-sdk/openai without store: false sends references to stored items, and is told what to do instead", async () => {
  const payer = world.payer();
  const model = createOpenAI(settings(payer))("demo-large");
  const first = await generateText({ model, prompt });
  const messages = [
    { role: "user" as const, content: prompt },
    ...first.finalStep.response.messages,
    { role: "user" as const, content: "And?" },
  ];
  await expect(generateText({ model, messages })).rejects.toThrow("store: false");
  await payer.charged(1);
  const next = await generateText({ model, messages, providerOptions });
  expect(next.text).toContain("And?");
  await payer.charged(2);
});

test("embeddings of both kinds of provider", async () => {
  const payer = world.payer();
  const compatible = createOpenAICompatible({ ...settings(payer), name: "gateway" });
  for (const provider of [createOpenAI(settings(payer)), compatible]) {
    const { embedding } = await embed({ model: provider.embeddingModel("demo-embedding"), value: "one" });
    expect(Math.hypot(...embedding)).toBeCloseTo(1);
  }
  const rows = await payer.charged(2);
  expect(rows.map(({ route }) => route)).toEqual(["/v1/embeddings", "/v1/embeddings"]);
});
