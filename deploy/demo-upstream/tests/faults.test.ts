import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { RateLimitError, type APIError } from "openai";
import { listModels, resolveModel } from "../src/models.ts";
import { hostileVariants } from "../src/faults.ts";
import type { RunningDemoUpstream } from "../src/server.ts";
import { textTokens } from "../src/usage.ts";
import { anthropic, eventsOf, journalEntry, openai, post, readToTheEnd, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
beforeAll(async () => {
  demo = await startFast();
});
afterAll(() => demo.close());

const messages = [{ role: "user" as const, content: "Hello there" }];
const chat = (model: string, more: object = {}) => post(demo.url, "/v1/chat/completions", { model, messages, ...more });
const chatStream = (model: string) => chat(model, { stream: true, stream_options: { include_usage: true } });
let requests = 0;
const newId = (): string => `req_test_${String((requests += 1))}`;
const withId = (id: string) => ({ headers: { "x-request-id": id, "anthropic-version": "2023-06-01" } });

describe("errors by model name", () => {
  test("given demo-error-429, then both SDKs see their rate limit error with retry-after", async () => {
    const refused = openai(demo.url).chat.completions.create({ model: "demo-error-429-7", messages });
    await expect(refused).rejects.toBeInstanceOf(RateLimitError);
    await expect(refused).rejects.toMatchObject({ status: 429, code: "rate_limit_exceeded" });
    const error = (await refused.catch((caught: unknown) => caught)) as APIError;
    expect(error.headers?.get("retry-after")).toBe("7");
    await expect(
      anthropic(demo.url).messages.create({ model: "demo-error-429", messages, max_tokens: 9 }),
    ).rejects.toMatchObject({ status: 429, error: { error: { type: "rate_limit_error" } } });
  });

  test("given each status, then it is the answer on every endpoint, in the dialect's shape", async () => {
    const types: [number, string, string][] = [
      [400, "invalid_request_error", "invalid_request_error"],
      [401, "invalid_request_error", "authentication_error"],
      [402, "insufficient_quota", "billing_error"],
      [403, "invalid_request_error", "permission_error"],
      [404, "invalid_request_error", "not_found_error"],
      [500, "server_error", "api_error"],
      [503, "server_error", "api_error"],
      [529, "server_error", "overloaded_error"],
    ];
    for (const [status, openaiType, anthropicType] of types) {
      const model = `demo-error-${String(status)}`;
      for (const [path, body] of [
        ["/v1/chat/completions", { model, messages, stream: true }],
        ["/v1/embeddings", { model, input: "x" }],
        ["/v1/images/generations", { model, prompt: "x" }],
      ] as const) {
        const response = await post(demo.url, path, body);
        expect([response.status, await response.json()]).toEqual([
          status,
          { error: expect.objectContaining({ type: openaiType, message: expect.any(String), param: null }) },
        ]);
      }
      const response = await post(demo.url, "/v1/messages", { model, messages, max_tokens: 9 }, withId(newId()));
      expect([response.status, await response.json()]).toEqual([
        status,
        expect.objectContaining({ type: "error", error: { type: anthropicType, message: expect.any(String) } }),
      ]);
    }
  });

  test("given demo-flaky-2, then the same request fails twice with 503 and then succeeds, and so again", async () => {
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 6; attempt += 1) statuses.push((await chat("demo-flaky-2", { seed: 1 })).status);
    expect(statuses).toEqual([503, 503, 200, 503, 503, 200]);
  });

  test("given the names listed, then each is a model, and names beside them are not", () => {
    const defaults = { slowFirstByteMs: 1, faultAfterChunks: 1 };
    for (const { id } of listModels()) expect(resolveModel(id, defaults)?.id).toBe(id);
    for (const id of [
      "",
      "demo",
      "demo-smal",
      "demo-error-200x",
      "demo-error-418",
      "demo-slow-x",
      "demo-hostile-usage-y",
    ]) {
      expect(resolveModel(id, defaults)).toBeUndefined();
    }
    expect(resolveModel("demo-slow-250ms", defaults)?.fault).toEqual({ kind: "slow", firstByteMs: 250 });
    expect(resolveModel("demo-slow-12", defaults)?.fault).toEqual({ kind: "slow", firstByteMs: 12_000 });
  });
});

describe("streams that break", () => {
  test("given demo-midstream-cut-4, then four events arrive, the SDK fails, and the journal says cut after as many bytes", async () => {
    const id = newId();
    const body = { model: "demo-midstream-cut-4", messages, stream: true };
    const { text, broken } = await readToTheEnd(await post(demo.url, "/v1/chat/completions", body, withId(id)));
    expect(broken).toBe(true);
    expect(eventsOf(text)).toHaveLength(4);
    expect(await journalEntry(demo.url, id)).toMatchObject({
      outcome: "cut",
      chunks: 4,
      bytes: Buffer.byteLength(text),
      reportedUsage: null,
    });
    const stream = await openai(demo.url).chat.completions.create({ ...body, stream: true });
    const read = async () => {
      await stream.toReadableStream().pipeTo(new WritableStream());
    };
    await expect(read()).rejects.toThrow();
  });

  test("given a cut or a reset of a plain answer, then the SDK sees a broken connection", async () => {
    for (const model of ["demo-midstream-cut", "demo-midstream-reset"]) {
      const broken = openai(demo.url).chat.completions.create({ model, messages });
      const error: unknown = await broken.catch((caught: unknown) => caught);
      // Broken while the body is read, so the error is that of fetch (of another realm under Jest), not of the SDK.
      expect([(error as Error).name, (error as Error).message]).toEqual(["TypeError", "terminated"]);
    }
  });

  test("given a cut past the end of the answer, then the stream still never ends cleanly", async () => {
    const { text, broken } = await readToTheEnd(await chatStream("demo-midstream-cut-9999"));
    expect([broken, text.includes("[DONE]")]).toEqual([true, true]);
  });

  test("given demo-error-in-stream, then an error event comes and no end marker, in both dialects", async () => {
    const { text, broken } = await readToTheEnd(await chatStream("demo-error-in-stream"));
    expect([broken, text.includes("[DONE]")]).toEqual([false, false]);
    expect(eventsOf(text).at(-1)).toMatchObject({ error: { type: "server_error" } });
    const stream = anthropic(demo.url).messages.stream({ model: "demo-error-in-stream", messages, max_tokens: 99 });
    await expect(stream.finalMessage()).rejects.toMatchObject({ error: { error: { type: "overloaded_error" } } });
  });

  test("given demo-silence-3, then three events and nothing more, until the caller leaves", async () => {
    const id = newId();
    const leave = new AbortController();
    const body = { model: "demo-silence-3", messages, stream: true };
    const response = await post(demo.url, "/v1/chat/completions", body, { ...withId(id), signal: leave.signal });
    const reader = response.body!.getReader();
    let text = "";
    while (eventsOf(text).length < 3) text += Buffer.from((await reader.read()).value as Uint8Array).toString();
    leave.abort();
    expect(await journalEntry(demo.url, id)).toMatchObject({ outcome: "client_gone", chunks: 3 });
  });

  test("given demo-hang, then nothing at all is sent", async () => {
    const id = newId();
    const signal = AbortSignal.timeout(200);
    await expect(
      post(demo.url, "/v1/chat/completions", { model: "demo-hang", messages }, { ...withId(id), signal }),
    ).rejects.toThrow();
    expect(await journalEntry(demo.url, id)).toMatchObject({ outcome: "client_gone", bytes: 0, status: null });
  });

  test("given demo-no-terminator, then everything but the last event comes", async () => {
    const { text } = await readToTheEnd(await chatStream("demo-no-terminator"));
    expect(text).not.toContain("[DONE]");
    expect(eventsOf(text).at(-1)).toMatchObject({ choices: [], usage: expect.anything() });
  });
});

describe("streams that are odd but whole", () => {
  test.each(["demo-crlf", "demo-one-byte", "demo-one-write", "demo-slow"])(
    "given %s, then both SDKs read the same answer as from demo-small",
    async (model) => {
      const openaiText = async (name: string) => {
        const stream = openai(demo.url).chat.completions.stream({ model: name, messages });
        return (await stream.finalChatCompletion()).choices[0]?.message.content;
      };
      expect(await openaiText(model)).toBe(await openaiText("demo-small"));
      const anthropicContent = async (name: string) =>
        (await anthropic(demo.url).messages.stream({ model: name, messages, max_tokens: 99 }).finalMessage()).content;
      expect(await anthropicContent(model)).toEqual(await anthropicContent("demo-small"));
    },
  );

  test("given demo-crlf, then lines end in CR LF; given demo-one-byte, then each byte is a write of its own", async () => {
    const { text } = await readToTheEnd(await chatStream("demo-crlf"));
    expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
    const id = newId();
    const body = { model: "demo-one-byte", messages, stream: true, max_tokens: 2 };
    const whole = await readToTheEnd(await post(demo.url, "/v1/chat/completions", body, withId(id)));
    expect(await journalEntry(demo.url, id)).toMatchObject({ chunks: whole.text.length, bytes: whole.text.length });
  });

  test("given demo-slow-200ms, then the first byte takes that long", async () => {
    const startedMs = performance.now();
    const response = await chatStream("demo-slow-200ms");
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(195);
    await response.body?.cancel();
  });
});

describe("answers that lie or are broken", () => {
  test("given demo-no-usage, then nothing reports usage, and the journal knows the truth", async () => {
    const id = newId();
    const plain = await post(demo.url, "/v1/chat/completions", { model: "demo-no-usage", messages }, withId(id));
    const answer = (await plain.json()) as { choices: { message: { content: string } }[] };
    expect(answer).not.toHaveProperty("usage");
    expect(await journalEntry(demo.url, id)).toMatchObject({
      reportedUsage: null,
      trueUsage: { completion: textTokens(answer.choices[0]!.message.content) },
    });
    const { text } = await readToTheEnd(await chatStream("demo-no-usage"));
    expect(eventsOf(text).every((event) => (event["usage"] ?? null) === null)).toBe(true);
    const events = await readToTheEnd(
      await post(
        demo.url,
        "/v1/messages",
        { model: "demo-no-usage", messages, max_tokens: 9, stream: true },
        withId(newId()),
      ),
    );
    expect(events.text).not.toContain('usage":');
  });

  test("given each hostile usage, then the wire carries it, plain and streamed, and the journal both truth and lie", async () => {
    const honest: Record<string, (value: unknown) => boolean> = {
      negative: (value) => typeof value === "number" && value < 0,
      float: (value) => typeof value === "number" && !Number.isInteger(value),
      huge: (value) => typeof value === "number" && value > Number.MAX_SAFE_INTEGER,
      string: (value) => typeof value === "string",
      null: (value) => value === null,
      zero: (value) => value === 0,
      inflated: (value) => typeof value === "number" && value >= 1_000,
      array: (value) => Array.isArray(value),
    };
    for (const variant of hostileVariants) {
      const id = newId();
      const model = `demo-hostile-usage-${variant}`;
      const plain = await post(demo.url, "/v1/chat/completions", { model, messages }, withId(id));
      const { usage } = (await plain.json()) as { usage: Record<string, unknown> };
      expect([variant, honest[variant]!(usage["completion_tokens"])]).toEqual([variant, true]);
      const entry = await journalEntry(demo.url, id);
      expect(entry.reportedUsage).toEqual(usage);
      expect(entry.trueUsage?.["completion"]).toBeGreaterThan(0);
      const { text } = await readToTheEnd(await chatStream(model));
      expect(eventsOf(text).at(-1)).toMatchObject({ usage });
    }
  });

  test("given demo-html-502, demo-malformed-200, demo-error-200 and demo-empty, then each answers as it is named", async () => {
    const html = await chat("demo-html-502");
    expect([html.status, html.headers.get("content-type"), (await html.text()).startsWith("<html>")]).toEqual([
      502,
      "text/html",
      true,
    ]);
    const malformed = await chat("demo-malformed-200");
    expect(malformed.status).toBe(200);
    await expect(malformed.json()).rejects.toThrow(/JSON/);
    const malformedStream = await readToTheEnd(await chatStream("demo-malformed-200"));
    expect(malformedStream.text).toContain("[DONE]");
    expect(() => eventsOf(malformedStream.text)).toThrow(SyntaxError);
    const error = await chat("demo-error-200", { stream: true });
    expect([error.status, await error.json()]).toEqual([
      200,
      { error: expect.objectContaining({ type: "server_error" }) },
    ]);
    const empty = await openai(demo.url).chat.completions.create({ model: "demo-empty", messages });
    expect(empty).toMatchObject({ choices: [{ message: { content: "" } }], usage: { completion_tokens: 0 } });
    const noBlocks = await anthropic(demo.url)
      .messages.stream({ model: "demo-empty", messages, max_tokens: 9 })
      .finalMessage();
    expect(noBlocks).toMatchObject({ content: [], usage: { output_tokens: 0 } });
  });

  test("given demo-refusal and demo-unbounded, then one declines and the other ignores the limit", async () => {
    const refusal = await openai(demo.url).chat.completions.create({ model: "demo-refusal", messages });
    expect(refusal.choices[0]?.message).toMatchObject({ content: null, refusal: expect.stringContaining("decline") });
    const refused = await anthropic(demo.url).messages.create({ model: "demo-refusal", messages, max_tokens: 99 });
    expect(refused.stop_reason).toBe("refusal");
    const unbounded = await openai(demo.url).chat.completions.create({
      model: "demo-unbounded",
      messages,
      max_completion_tokens: 2,
    });
    expect(unbounded.usage?.completion_tokens).toBeGreaterThan(10);
  });
});
