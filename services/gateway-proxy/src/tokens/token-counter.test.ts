import { afterEach, expect, test } from "@jest/globals";
import { requestText } from "../domain/request-text.ts";
import { TokenCounter } from "./token-counter.ts";

let counter: TokenCounter;

afterEach(() => counter.close());

test("counts as o200k does", async () => {
  counter = new TokenCounter(10_000);
  // The vector of OpenAI's tiktoken repository for o200k_base.
  expect(await counter.count(["hello world"])).toBe(2);
  expect(await counter.count(["hello world", " again"])).toBe(3);
});

test("a text that is quadratic for tokenizers is counted in time, because its runs are split", async () => {
  counter = new TokenCounter(10_000);
  const { pieces } = requestText({ messages: [{ role: "user", content: "a".repeat(400_000) }] })!;
  await counter.count(["warm"]);
  const startedMs = performance.now();
  expect(await counter.count(pieces)).toBeGreaterThan(1_000);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});

test("a late count is no count, and more than a few do not queue up", async () => {
  counter = new TokenCounter(1);
  const { pieces } = requestText({ messages: [{ role: "user", content: "word ".repeat(190_000) }] })!;
  const counts = await Promise.all(Array.from({ length: 30 }, () => counter.count(pieces)));
  expect(new Set(counts)).toEqual(new Set([undefined]));
});

test("a closed counter answers at once", async () => {
  counter = new TokenCounter(10_000);
  const running = counter.count(["x"]);
  await counter.close();
  expect(await running).toBeUndefined();
  expect(await counter.count(["x"])).toBeUndefined();
});
