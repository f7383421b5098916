import { AppError } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { parseChatRequest, upstreamBody } from "./chat-request.ts";
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

test("the upstream gets its own model name and the hold's bound, under the name that the client used", () => {
  const request = parseChatRequest({ ...valid, stream: true });
  expect(upstreamBody(request, "up-model", 77)).toEqual({
    model: "up-model",
    messages: valid.messages,
    stream: true,
    max_completion_tokens: 77,
  });
  const older = parseChatRequest({ ...valid, max_tokens: 10 });
  expect(upstreamBody(older, "m", 10)).toEqual({ ...valid, model: "m", max_tokens: 10 });
});

test("near names are offered, far ones are not", () => {
  expect(nearestNames("demo-smal", ["gpt-x", "demo-small", "demo-large"])[0]).toBe("demo-small");
  expect(nearestNames("zzzzzzzzzzzz", ["a", "b"])).toEqual([]);
});
