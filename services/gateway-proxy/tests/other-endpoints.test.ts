import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readEvents, recordOf, toldCost, usualCost } from "./_streams.ts";
import { priceOf, send, startWorld, type Answer, type World } from "./_world.ts";

// Completions, embeddings, moderations and rerank through a gateway in front of the demo upstream.

const leaks = leakCheck();
let world: World;
let apiKey: string;

beforeAll(async () => {
  world = await startWorld({}, [
    "demo-embedding",
    priceOf("demo-moderation", { perRequest: 77n }),
    "demo-rerank",
    "demo-no-usage",
    "demo-hostile-usage",
    "demo-midstream-cut-3",
    "demo-midstream-cut",
    "demo-length-50",
  ]);
  ({ apiKey } = world.customer(100_000_000_000n));
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function post(path: string, body: Readonly<Record<string, unknown>>): Promise<Answer> {
  return send(world.gateway, "POST", path, { headers: { authorization: `Bearer ${apiKey}` }, body });
}

type Usage = Readonly<Record<string, number>>;
const usageOf = (body: unknown): Usage => (body as { readonly usage: Usage }).usage;

describe("POST /v1/completions", () => {
  const ask = { model: "demo-length-50", prompt: "Once", max_tokens: 20 };

  test("plain and streamed: text, usage and cost, booked as the upstream counts", async () => {
    const plain = await post("/v1/completions", ask);
    expect(plain.body).toMatchObject({ object: "text_completion", choices: [{ finish_reason: "length" }] });
    const streamed = await post("/v1/completions", { ...ask, stream: true });
    expect(streamed.text.endsWith("data: [DONE]\n\n")).toBe(true);
    for (const [answer, usage] of [
      [plain, usageOf(plain.body)],
      [streamed, usageOf(readEvents(streamed.text).at(-1)!.data)],
    ] as const) {
      const record = await recordOf(world, answer);
      expect(record).toMatchObject({
        route: "/v1/completions",
        status: "ok",
        estimated: false,
        tokens: { output: 20 },
      });
      expect(toldCost(usage)).toBe(record.costMicroTokens);
    }
  });

  test("given several prompts and best_of, then every answer that is made is held for", async () => {
    const one = await recordOf(world, await post("/v1/completions", ask));
    const many = await recordOf(world, await post("/v1/completions", { ...ask, prompt: ["a", "b", "c"], best_of: 2 }));
    expect(many.holdMicroTokens).toBeGreaterThanOrEqual(one.holdMicroTokens + usualCost(5 * 20 - 20));
  });

  test("given a cut, then the stream ends in an error without [DONE] and what came is charged", async () => {
    const answer = await post("/v1/completions", { ...ask, model: "demo-midstream-cut-3", stream: true });
    expect(answer.text).not.toContain("[DONE]");
    expect(readEvents(answer.text).at(-1)!.data).toMatchObject({ error: { code: "stream_interrupted" } });
    expect(await recordOf(world, answer)).toMatchObject({ status: "upstream_cut", estimated: true });
  });
});

describe("POST /v1/embeddings", () => {
  test("given base64, as the SDKs ask, then base64 comes back byte for byte; given floats, floats", async () => {
    const ask = { model: "demo-embedding", input: ["one", "two"], dimensions: 8 };
    const answer = await post("/v1/embeddings", { ...ask, encoding_format: "base64" });
    const data = answer.body["data"] as { embedding: string }[];
    expect(Buffer.from(data[0]!.embedding, "base64")).toHaveLength(32);
    const floats = (await post("/v1/embeddings", { ...ask, encoding_format: "float" })).body["data"];
    expect((floats as { embedding: number[] }[])[0]!.embedding[0]).toBeCloseTo(
      Buffer.from(data[0]!.embedding, "base64").readFloatLE(0),
    );
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ route: "/v1/embeddings", status: "ok", estimated: false, tokens: { output: 0 } });
    expect(record.costMicroTokens).toBe(usualCost(usageOf(answer.body)["prompt_tokens"]!));
    expect(toldCost(usageOf(answer.body))).toBe(record.costMicroTokens);
  });

  test.each(["demo-no-usage", "demo-hostile-usage"])(
    "given %s, then the input is charged by its length",
    async (model) => {
      const answer = await post("/v1/embeddings", { model, input: "x".repeat(400) });
      const record = await recordOf(world, answer);
      expect(record).toMatchObject({ status: "ok", estimated: true, tokens: { output: 0 } });
      expect(record.tokens.input).toBeGreaterThanOrEqual(100);
      expect(usageOf(answer.body)["prompt_tokens"]).toBe(record.tokens.input);
    },
  );

  test("given half an answer, then 502, and nothing is charged", async () => {
    const answer = await post("/v1/embeddings", { model: "demo-midstream-cut", input: "x" });
    expect([502, 503]).toContain(answer.status);
    expect(await recordOf(world, answer)).toMatchObject({ costMicroTokens: 0n });
  });

  test.each([
    ["input", { input: [] }],
    ["encoding_format", { input: "x", encoding_format: "hex" }],
    ["dimension", { input: "x", dimension: 3 }],
  ])("given a wrong %s, then 400 by name", async (param, more) => {
    const answer = await post("/v1/embeddings", { model: "demo-embedding", ...more });
    expect(answer.status).toBe(400);
    expect(answer.body["error"]).toMatchObject({ param });
  });
});

test("POST /v1/moderations: the answer is as the upstream's, byte for byte, and costs what a request costs", async () => {
  const answer = await post("/v1/moderations", { model: "demo-moderation", input: ["some violence", "peace"] });
  const results = answer.body["results"] as { flagged: boolean }[];
  expect(results.map(({ flagged }) => flagged)).toEqual([true, false]);
  expect(answer.body).not.toHaveProperty("usage");
  const record = await recordOf(world, answer);
  expect(record).toMatchObject({ route: "/v1/moderations", status: "ok", tokens: { output: 0 } });
  expect(record.costMicroTokens).toBe(77n + usualCost(record.tokens.input));
});

test("POST /v1/rerank: sorted results, charged by the text of both sides", async () => {
  const documents = ["the cat sat", "the dog ran", "cat and dog"];
  const answer = await post("/v1/rerank", { model: "demo-rerank", query: "cat dog", documents, top_n: 2 });
  expect((answer.body["results"] as { index: number }[]).map(({ index }) => index)).toEqual([2, 0]);
  const record = await recordOf(world, answer);
  expect(record.costMicroTokens).toBe(usualCost(usageOf(answer.body)["total_tokens"]!));
});

test("given a model that serves another kind of request, then the refusal of the upstream is the request's own", async () => {
  const served = await post("/v1/rerank", { model: "demo-rerank", query: "x", documents: ["x", "y"] });
  expect(served.status).toBe(200);
  const answer = await post("/v1/embeddings", { model: "demo-rerank", input: "x" });
  expect([answer.status, answer.body["error"]]).toEqual([400, expect.objectContaining({ code: "upstream_rejected" })]);
});
