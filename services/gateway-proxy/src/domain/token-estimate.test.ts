import { expect, test } from "@jest/globals";
import { textOfParts } from "./request-text.ts";
import { tokensEstimate } from "./token-estimate.ts";

const base = { bodyBytes: 4_000, imageUrls: 0, outputTokensAsked: undefined, answers: 1 };

test.each([
  ["no bound of the answer", base, 1_000 + 1_024],
  ["a bound", { ...base, outputTokensAsked: 50 }, 1_050],
  ["a bound above the model's", { ...base, outputTokensAsked: 99_999 }, 1_000 + 8_192],
  ["several answers", { ...base, outputTokensAsked: 50, answers: 3 }, 1_150],
  ["no answer of tokens", { ...base, answers: 0 }, 1_000],
  ["pictures by their address, and sound", { ...base, answers: 0, imageUrls: 2, mediaTokens: 7 }, 1_000 + 3_200 + 7],
])("given %s", (_what, input, expected) => {
  expect(tokensEstimate(input, 8_192, undefined)).toBe(expected);
});

test("given a picture and a document in the body, then their bytes are no text", () => {
  const picture = `data:image/png;base64,${"A".repeat(1_000_000)}`;
  const pdf = { type: "base64", media_type: "application/pdf", data: "A".repeat(160_000) };
  const text = textOfParts([[{ content: ["word ".repeat(800), picture, pdf] }]], 1);
  const estimate = tokensEstimate({ ...base, bodyBytes: 1_200_000, answers: 0 }, 8_192, text);
  expect(estimate).toBeGreaterThan(11_000);
  expect(estimate).toBeLessThan(11_100);
});
