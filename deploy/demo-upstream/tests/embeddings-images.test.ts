import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { crc32, inflateSync } from "node:zlib";
import type OpenAI from "openai";
import type { RunningDemoUpstream } from "../src/server.ts";
import { imageTokens, textTokens } from "../src/usage.ts";
import { openai, post, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
let client: OpenAI;
beforeAll(async () => {
  demo = await startFast();
  client = openai(demo.url);
});
afterAll(() => demo.close());

describe("embeddings", () => {
  test("given the SDK's default base64 and a plain float request, then both carry the same unit vectors", async () => {
    const request = { model: "demo-embedding", input: ["кот", "cat"], dimensions: 64 };
    // Without an encoding the SDK asks for base64 and decodes it itself.
    const decoded = await client.embeddings.create(request);
    const raw = await post(demo.url, "/v1/embeddings", { ...request, encoding_format: "float" });
    const floats = (await raw.json()) as OpenAI.CreateEmbeddingResponse;
    const base64 = await post(demo.url, "/v1/embeddings", { ...request, encoding_format: "base64" });
    const packed = (await base64.json()) as { data: { embedding: string }[] };
    expect(packed.data.map((one) => Buffer.from(one.embedding, "base64").length)).toEqual([256, 256]);
    for (const [index, one] of decoded.data.entries()) {
      expect(one.index).toBe(index);
      expect([...one.embedding]).toEqual(floats.data[index]?.embedding);
      expect(Math.hypot(...one.embedding)).toBeCloseTo(1, 5);
    }
    expect(decoded.data[0]?.embedding).not.toEqual(decoded.data[1]?.embedding);
    expect(decoded.usage).toEqual({ prompt_tokens: textTokens("кот") + 1, total_tokens: textTokens("кот") + 1 });
  });

  test("given token ids, then they are counted as they are; given no dimensions, then there are 1,536", async () => {
    const answer = await client.embeddings.create({ model: "demo-embedding", input: [[1, 2, 3], [4]] });
    expect(answer.usage.prompt_tokens).toBe(4);
    expect(answer.data.map((one) => one.embedding.length)).toEqual([1_536, 1_536]);
    const flat = await client.embeddings.create({ model: "demo-embedding", input: [1, 2, 3] });
    expect(flat.data).toHaveLength(1);
  });

  test("given a chat model, then 404", async () => {
    await expect(client.embeddings.create({ model: "demo-small", input: "x" })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });
});

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/** Reads a PNG strictly: signature, and the CRC of each chunk. */
function chunksOf(file: Buffer): Chunk[] {
  expect(file.subarray(0, 8).toString("hex")).toBe("89504e470d0a1a0a");
  const chunks: Chunk[] = [];
  let at = 8;
  while (at < file.length) {
    const length = file.readUInt32BE(at);
    const body = file.subarray(at + 4, at + 8 + length);
    expect(file.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    chunks.push({ type: body.subarray(0, 4).toString("latin1"), data: body.subarray(4) });
    at += length + 12;
  }
  return chunks;
}

describe("images", () => {
  test("given a prompt, then a small valid PNG of the asked size comes, the same each time", async () => {
    const request = { model: "demo-image", prompt: "кот в шляпе", size: "1024x1536" as const, n: 2 };
    const first = await client.images.generate(request);
    const again = await client.images.generate(request);
    const files = (first.data ?? []).map((one) => Buffer.from(one.b64_json ?? "", "base64"));
    expect(files).toHaveLength(2);
    expect(again.data).toEqual(first.data);
    expect(files[0]!.equals(files[1]!)).toBe(false);
    for (const file of files) {
      expect(file.length).toBeLessThan(20_000);
      const chunks = chunksOf(file);
      expect(chunks.map((chunk) => chunk.type)).toEqual(["IHDR", "PLTE", "IDAT", "IEND"]);
      const header = chunks[0]!.data;
      expect([header.readUInt32BE(0), header.readUInt32BE(4)]).toEqual([1_024, 1_536]);
      expect(inflateSync(chunks[2]!.data)).toHaveLength((512 + 1) * 1_536);
    }
  });

  test("given size and quality, then usage is their function", async () => {
    const answer = await client.images.generate({
      model: "demo-image",
      prompt: "a cat",
      size: "1536x1024",
      quality: "high",
      n: 3,
    });
    const output = 3 * imageTokens(1_536, 1_024, "high");
    expect(answer.usage).toMatchObject({ input_tokens: 2, output_tokens: output, total_tokens: output + 2 });
  });

  test("given a request for a link, then 400 names the field: the demo keeps no files", async () => {
    const refused = await post(demo.url, "/v1/images/generations", { prompt: "x", response_format: "url" });
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param: "response_format" } }]);
  });
});
