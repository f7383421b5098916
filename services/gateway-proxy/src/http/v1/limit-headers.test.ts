import { describe, expect, test } from "@jest/globals";
import type { Limits } from "../../domain/limits.ts";
import { goDuration, limitHeaders } from "./limit-headers.ts";

test.each([
  [0, "0ms"],
  [0.2, "1ms"],
  [850, "850ms"],
  [999.5, "1s"],
  [1_001, "2s"],
  [59_000, "59s"],
  [60_000, "1m0s"],
  [360_000, "6m0s"],
])("%d ms is %s", (ms, text) => {
  expect(goDuration(ms)).toBe(text);
});

describe("of key and account the one with less left is told, requests and tokens each by itself", () => {
  const limits: Readonly<Record<"key" | "account", Limits>> = {
    key: { requestsPerMinute: 60, tokensPerMinute: 6_000, concurrentRequests: 1 },
    account: { requestsPerMinute: 600, tokensPerMinute: 7_000, concurrentRequests: 1 },
  };
  const levels = { key: { requestsMs: 1_000, tokensMs: 0 }, account: { requestsMs: 30_000, tokensMs: 30_400 } };
  const now = new Date("2026-11-26T12:00:00.250Z");
  const answer = { refusal: undefined, levels };

  test("in OpenAI's names", () => {
    expect(Object.fromEntries(limitHeaders("openai", { limits }, answer, now))).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "59",
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-limit-tokens": "7000",
      "x-ratelimit-remaining-tokens": "3453",
      "x-ratelimit-reset-tokens": "31s",
    });
  });

  test("in Anthropic's names, with moments that are not too early", () => {
    expect(Object.fromEntries(limitHeaders("anthropic", { limits }, answer, now))).toEqual({
      "anthropic-ratelimit-requests-limit": "60",
      "anthropic-ratelimit-requests-remaining": "59",
      "anthropic-ratelimit-requests-reset": "2026-11-26T12:00:02Z",
      "anthropic-ratelimit-tokens-limit": "7000",
      "anthropic-ratelimit-tokens-remaining": "3453",
      "anthropic-ratelimit-tokens-reset": "2026-11-26T12:00:31Z",
    });
  });
});
