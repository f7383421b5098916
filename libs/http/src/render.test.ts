import { AppError, newId, toAppError, type ErrorKind } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { appError, InvalidRequestError } from "./error-catalogue.ts";
import { httpStatusOf, renderProblem, toAnthropicError, toOpenAiError, toProblem } from "./render.ts";

const requestId = newId("req");
const kinds = Object.keys(httpStatusOf) as ErrorKind[];

test("the money refusal in OpenAI's form has all fields, ends with the request id and forbids a retry", () => {
  const error = appError("credit_balance_exhausted", "Not enough balance: needed 12.40, available 3.10.", {
    metadata: { limit_source: "balance", needed: "12.40" },
    retryAfterSeconds: 5,
  });
  expect(toOpenAiError(error, requestId)).toEqual({
    status: 402,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      "x-request-id": requestId,
      "request-id": requestId,
      "x-should-retry": "false",
    },
    body: {
      error: {
        message: `Not enough balance: needed 12.40, available 3.10. — request ${requestId}`,
        type: "insufficient_quota",
        param: null,
        code: "insufficient_quota",
        metadata: {
          reason: "credit_balance_exhausted",
          limit_source: "balance",
          needed: "12.40",
          request_id: requestId,
        },
      },
    },
  });
});

test("the money refusal in Anthropic's form is a billing_error", () => {
  const error = appError("credit_balance_exhausted", "Not enough balance.");
  expect(toAnthropicError(error, requestId)).toMatchObject({
    status: 402,
    headers: { "x-should-retry": "false", "request-id": requestId },
    body: { type: "error", error: { type: "billing_error" }, request_id: requestId },
  });
});

test.each(kinds)(
  "the kind %s keeps status and id on every surface, and only 401, 402 and 409 forbid a retry",
  (kind) => {
    const error = new AppError({ kind, code: "x", publicMessage: "Sentence.", param: "model" });
    const openAi = toOpenAiError(error, requestId);
    const anthropic = toAnthropicError(error, requestId);
    const { status } = httpStatusOf[kind];
    expect([openAi.status, anthropic.status, toProblem(error, requestId).status]).toEqual([status, status, status]);
    expect(openAi.body.error).toMatchObject({ param: "model", code: kind === "quota" ? "insufficient_quota" : "x" });
    expect(openAi.headers["x-should-retry"]).toBe([401, 402, 409].includes(status) ? "false" : undefined);
  },
);

test("a wait is told in whole seconds, rounded up, and in milliseconds", () => {
  const headers = (seconds: number): Record<string, string> =>
    toOpenAiError(appError("rate_limit_exceeded", "Slow down.", { retryAfterSeconds: seconds }), requestId).headers;
  expect(headers(2.1)).toMatchObject({ "retry-after": "3", "retry-after-ms": "3000" });
  expect(headers(0)).toMatchObject({ "retry-after": "1" });
});

test("a failure after a charge must not be repeated by an SDK", () => {
  const error = appError("upstream_error", "The provider failed.", { retryAfterSeconds: 3 });
  expect(toOpenAiError(error, requestId).headers).toMatchObject({ "retry-after": "3" });
  const { headers } = toOpenAiError(error, requestId, { charged: true });
  expect(headers["x-should-retry"]).toBe("false");
  expect(headers["retry-after"]).toBeUndefined();
});

test("what is not an AppError shows a fixed sentence, whatever it says", () => {
  const error = toAppError(new Error("password=hunter2 at db.internal:5432"));
  for (const rendered of [
    toOpenAiError(error, requestId),
    toAnthropicError(error, requestId),
    renderProblem(error, requestId),
  ]) {
    expect(rendered.status).toBe(500);
    expect(JSON.stringify(rendered)).not.toMatch(/hunter2|db\.internal/);
  }
});

test("the detail of an error is for the log and is rendered nowhere", () => {
  const error = appError("upstream_error", "The provider failed.", { detail: { channel: "hunter2" } });
  for (const rendered of [
    toOpenAiError(error, requestId),
    toAnthropicError(error, requestId),
    renderProblem(error, requestId),
  ]) {
    expect(JSON.stringify(rendered)).not.toContain("hunter2");
  }
});

test("a problem has the live page as type and one entry a field", () => {
  expect(renderProblem(new InvalidRequestError([{ pointer: "/a/0", message: "wrong" }]), requestId)).toMatchObject({
    headers: { "content-type": "application/problem+json" },
    body: {
      type: "/docs/errors#invalid_request",
      title: "The request is not valid",
      status: 400,
      code: "invalid_request",
      detail: "/a/0: wrong.",
      requestId,
      errors: [{ pointer: "/a/0", message: "wrong" }],
    },
  });
});
