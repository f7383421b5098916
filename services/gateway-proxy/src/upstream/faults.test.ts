import { describe, expect, test } from "@jest/globals";
import { errorOf, faultOf, readUpstreamError, transportFailure, type FaultScope } from "./faults.ts";
import { kinds } from "./kinds/index.ts";

describe("whose fault a refusal is", () => {
  const openAi = (code: string, message = ""): string => JSON.stringify({ error: { message, type: "x", code } });
  const google = (status: string, details: unknown[] = []): string =>
    JSON.stringify({ error: { code: 400, message: "m", status, details } });

  test.each<[keyof typeof kinds, number, string, FaultScope]>([
    ["openai", 400, openAi("invalid_value"), "request"],
    ["openai", 413, "", "request"],
    ["openai", 422, "<html>", "request"],
    ["openai", 429, openAi("rate_limit_exceeded"), "key_rate"],
    ["openai", 429, openAi("insufficient_quota"), "key_quota"],
    ["openai", 401, openAi("invalid_api_key"), "key_rejected"],
    ["openai", 403, openAi("unsupported_country"), "key_rejected"],
    ["openai", 404, openAi("model_not_found"), "channel"],
    ["openai", 408, "", "channel"],
    ["openai", 302, "", "channel"],
    ["openai", 500, "null", "channel"],
    ["openai-compatible", 402, "", "key_quota"],
    ["anthropic", 529, '{"type":"error","error":{"type":"overloaded_error","message":"o"}}', "channel"],
    ["anthropic", 429, '{"type":"error","error":{"type":"rate_limit_error","message":"r"}}', "key_rate"],
    [
      "anthropic",
      400,
      '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}',
      "key_quota",
    ],
    ["anthropic", 400, '{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}', "request"],
    ["gemini", 400, google("INVALID_ARGUMENT"), "request"],
    ["gemini", 400, google("INVALID_ARGUMENT", [{ reason: "API_KEY_INVALID" }]), "key_rejected"],
    ["gemini", 429, google("RESOURCE_EXHAUSTED"), "key_rate"],
    ["openrouter", 402, '{"error":{"code":402,"message":"Insufficient credits"}}', "key_quota"],
    ["openrouter", 403, '{"error":{"code":403,"message":"input was flagged"}}', "request"],
    ["openrouter", 403, '{"error":{"code":403,"message":"no access"}}', "key_rejected"],
    ["azure-openai", 400, openAi("content_filter"), "request"],
    ["azure-openai", 404, openAi("DeploymentNotFound"), "channel"],
  ])("%s answers %i %s: %s", (kind, status, body, scope) => {
    const error = readUpstreamError(body);
    expect(kinds[kind].faultOf?.(status, error) ?? faultOf(status, error)).toBe(scope);
  });

  test("given Google's retry delay, then it is told in whole seconds", () => {
    const details = [null, { "@type": "x" }, { retryDelay: "17.4s" }];
    expect(readUpstreamError(google("RESOURCE_EXHAUSTED", details)).retryAfterSeconds).toBe(18);
    expect(readUpstreamError(`[${google("RESOURCE_EXHAUSTED", details)}]`).retryAfterSeconds).toBe(18);
  });

  test.each(["", "null", "1", "[]", '"text"', '{"error":null}', '{"error":{"details":"x","code":[]}}', "{"])(
    "given the body %s, then it is an error without words",
    (body) => {
      expect(readUpstreamError(body)).toMatchObject({ code: "", message: "", reason: "" });
    },
  );
});

describe("what the client is told", () => {
  test.each<[FaultScope, number, string, string]>([
    ["request", 400, "invalid", "upstream_rejected"],
    ["key_rate", 429, "rate_limited", "upstream_rate_limited"],
    ["key_quota", 429, "upstream", "upstream_error"],
    ["key_quota", 402, "upstream", "upstream_error"],
    ["key_rejected", 401, "upstream", "upstream_error"],
    ["channel", 404, "upstream", "upstream_error"],
    ["channel", 500, "upstream", "upstream_error"],
    ["channel", 503, "unavailable", "upstream_unavailable"],
    ["channel", 529, "unavailable", "upstream_unavailable"],
  ])("%s with %i: %s, %s, with a bounded wait", (scope, status, kind, code) => {
    const error = errorOf(scope, status, 86_400);
    expect(error).toMatchObject({ kind, code });
    expect(error.retryAfterSeconds ?? 60).toBe(60);
  });

  test("given the conversation was too long, then it is told so, and not that something was wrong with it", () => {
    expect(errorOf("request", 400, undefined, "context_length_exceeded")).toMatchObject({
      kind: "invalid",
      code: "context_length_exceeded",
    });
  });

  test.each([
    "ECONNRESET",
    "EADDRREFUSED",
    "UND_ERR_SOCKET",
    "HPE_INVALID_CONSTANT",
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
  ])("given the connection fails with %s, then the upstream cannot be reached", (code) => {
    expect(transportFailure(Object.assign(new Error("x"), { code }))).toMatchObject({ code: "upstream_unavailable" });
  });
});
