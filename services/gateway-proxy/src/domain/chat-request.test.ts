import { AppError } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { parseChatRequest, upstreamChanges } from "./chat-request.ts";
import { jsonOutgoing, type Target } from "./endpoint.ts";
import { requestLimits, scanJson, withFields } from "./json-scan.ts";
import { nearestNames } from "./nearest.ts";

const valid = { model: "demo-small", messages: [{ role: "user", content: "hi" }] };

function failure(body: unknown): AppError {
  try {
    parseChatRequest(body);
  } catch (error) {
    if (error instanceof AppError) return error;
  }
  throw new Error("was accepted");
}

test("a plain request is understood", () => {
  const images = [
    { type: "text", text: "?" },
    { type: "image_url", image_url: { url: "https://x/y.png" } },
  ];
  const parsed = parseChatRequest({
    ...valid,
    stream: true,
    n: 2,
    max_tokens: 50,
    messages: [{ role: "user", content: images }],
  });
  expect(parsed).toMatchObject({ model: "demo-small", stream: true, answers: 2, outputTokensAsked: 50, imageUrls: 1 });
});

test.each([
  ["an unknown field", { ...valid, temprature: 1 }, "unknown_parameter", "temprature"],
  ["a field of the prototype", { ...valid, constructor: {} }, "unknown_parameter", "constructor"],
  ["a wrong type", { ...valid, temperature: "hot" }, "invalid_request", "temperature"],
  ["a number out of range", { ...valid, n: 0 }, "invalid_request", "n"],
  ["a fractional count", { ...valid, max_tokens: 1.5 }, "invalid_request", "max_tokens"],
  ["an overflowing count", { ...valid, max_tokens: 2 ** 53 }, "invalid_request", "max_tokens"],
  ["no messages", { model: "m" }, "invalid_request", "messages"],
  ["empty messages", { ...valid, messages: [] }, "invalid_request", "messages"],
  ["a message that is no object", { ...valid, messages: ["hi"] }, "invalid_request", "messages[0]"],
  ["an unknown role", { ...valid, messages: [{ role: "boss", content: "hi" }] }, "invalid_request", "messages[0].role"],
  [
    "content of a wrong type",
    { ...valid, messages: [{ role: "user", content: 5 }] },
    "invalid_request",
    "messages[0].content",
  ],
  [
    "a part without type",
    { ...valid, messages: [{ role: "user", content: [{}] }] },
    "invalid_request",
    "messages[0].content[0]",
  ],
  ["no model", { messages: valid.messages }, "invalid_request", "model"],
  ["an array", [], "invalid_request", ""],
  ["null", null, "invalid_request", ""],
])("refused by name: %s", (_name, body, code, param) => {
  expect(failure(body)).toMatchObject({ kind: "invalid", code, param });
});

test("null stands for a field that is not set, as SDKs send it", () => {
  expect(parseChatRequest({ ...valid, temperature: null, stream: null, max_tokens: null }).stream).toBe(false);
});

function sent(body: unknown, target: Target): { readonly text: string; readonly value: unknown } {
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const value: unknown = JSON.parse(bytes.toString());
  const source = { kind: "json", bytes, value, members: scanJson(bytes, requestLimits) } as const;
  const out = jsonOutgoing(source, upstreamChanges(parseChatRequest(value), target));
  const text = withFields(source, out.body as Record<string, unknown>).toString();
  return { text, value: JSON.parse(text) as unknown };
}

test("the upstream gets its own model name, the hold's bound, and none of the fields that identify or store", () => {
  const request = {
    ...valid,
    stream: true,
    user: "u",
    store: true,
    metadata: { a: "b" },
    service_tier: "flex",
    safety_identifier: "s",
    stream_options: { include_obfuscation: false },
  };
  expect(sent(request, { model: "up-model", outputTokens: 77 }).value).toEqual({
    model: "up-model",
    messages: valid.messages,
    stream: true,
    stream_options: { include_obfuscation: false, include_usage: true },
    max_completion_tokens: 77,
  });
  const older = { ...valid, max_tokens: 10 };
  expect(sent(older, { model: "m", outputTokens: 10 }).value).toEqual({ ...valid, model: "m", max_tokens: 10 });
});

test("where nothing must change, not one byte does; where something must, every other member stays as it came", () => {
  const whole =
    ' {"model" : "m", "seed":5 ,\n"messages":[{"role":"user","content":"\\u0041","big":9007199254740993}],"max_tokens":5} ';
  expect(sent(whole, { model: "m", outputTokens: 5 }).text).toBe(whole);
  expect(sent(whole, { model: "n", outputTokens: 5 }).text).toBe(
    '{"model" : "n","seed":5 ,\n"messages":[{"role":"user","content":"\\u0041","big":9007199254740993}],"max_tokens":5}',
  );
});

test("of two bounds the upstream gets one, and it is the one that was held for", () => {
  const both = { ...valid, max_tokens: 100_000, max_completion_tokens: 10 };
  expect(sent(both, { model: valid.model, outputTokens: 10 }).value).toEqual({ ...valid, max_completion_tokens: 10 });
});

test("near names are offered, far ones are not", () => {
  expect(nearestNames("demo-smal", ["gpt-x", "demo-small", "demo-large"])[0]).toBe("demo-small");
  expect(nearestNames("zzzzzzzzzzzz", ["a", "b"])).toEqual([]);
});
