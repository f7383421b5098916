import { describe, expect, test } from "@jest/globals";
import { chunkFacts, isDone } from "./chat-chunk.ts";

const answerBytes = (data: Buffer): number => chunkFacts(data).answerBytes;
const mayFinish = (data: Buffer): boolean => chunkFacts(data).mayFinish;
const needsParsing = (data: Buffer): boolean => chunkFacts(data).needsParsing;

const chunk = (choices: unknown): unknown => ({ id: "c", object: "chat.completion.chunk", choices });
const compact = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const pretty = (value: unknown): Buffer => Buffer.from(JSON.stringify(value, undefined, 2));
/** As Python's json.dumps writes. */
const spaced = (value: unknown): Buffer => Buffer.from(JSON.stringify(value).replaceAll(/(?<!\\)":/g, '": '));

describe.each([
  ["without spaces", compact],
  ["with spaces", spaced],
  ["over several lines", pretty],
])("JSON %s", (_name, write) => {
  test("given text of a delta, then its bytes are counted, in every field that is answer text", () => {
    expect(answerBytes(write(chunk([{ index: 0, delta: { role: "assistant", content: "привет" } }])))).toBe(12);
    expect(answerBytes(write(chunk([{ delta: { reasoning_content: "abc" } }, { delta: { refusal: "de" } }])))).toBe(5);
    expect(answerBytes(write(chunk([{ delta: { tool_calls: [{ function: { name: "f", arguments: "{}" } }] } }])))).toBe(
      2,
    );
  });

  test("given reasoning that its details repeat, then it is counted once; details alone are counted too", () => {
    const reasoning_details = [{ type: "reasoning.text", text: "abc" }];
    expect(answerBytes(write(chunk([{ delta: { reasoning_content: "abc", reasoning_details } }])))).toBe(3);
    expect(answerBytes(write(chunk([{ delta: { reasoning: null, reasoning_details } }])))).toBe(3);
  });

  test("given no text, then nothing is counted", () => {
    expect(answerBytes(write(chunk([{ delta: { content: null } }])))).toBe(0);
    expect(answerBytes(write(chunk([{ delta: { role: "content" } }])))).toBe(0);
  });

  test("given text that looks like a field, then it is counted once, as text", () => {
    const content = '"content":"aaaa"';
    expect(answerBytes(write(chunk([{ delta: { content } }])))).toBe(JSON.stringify(content).length - 2);
  });

  test("given a finish reason, then the answer may end here; given null, not", () => {
    expect(mayFinish(write(chunk([{ delta: {}, finish_reason: null }])))).toBe(false);
    expect(mayFinish(write(chunk([{ delta: {}, finish_reason: "stop" }])))).toBe(true);
    expect(mayFinish(write(chunk([{ finish_reason: null }, { finish_reason: "length" }])))).toBe(true);
  });
});

test("given the end mark, then nothing else is taken for it", () => {
  expect(isDone(Buffer.from("[DONE]"))).toBe(true);
  expect(isDone(Buffer.from("[DONE] "))).toBe(false);
});

test("given usage or an error anywhere, then the event is parsed", () => {
  expect(needsParsing(compact({ usage: null }))).toBe(true);
  expect(needsParsing(compact({ error: {} }))).toBe(true);
  expect(needsParsing(compact(chunk([])))).toBe(false);
});
