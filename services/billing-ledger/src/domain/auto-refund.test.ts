import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { refundRuleOf, type BookedLine, type RefundRules } from "./auto-refund.ts";

const all: RefundRules = { upstream_error: true, empty_completion: true, failed_image: true };
const chat: BookedLine = {
  route: "/v1/chat/completions",
  status: "ok",
  errorCode: null,
  charged: 10n,
  outputTokens: 5,
  reasoningTokens: 0,
  imageCount: null,
};

describe("the refund rules", () => {
  test.each<[string, Partial<BookedLine>, string | undefined]>([
    ["an answer", {}, undefined],
    ["an answer cut by the upstream", { status: "upstream_cut", errorCode: "stream_interrupted" }, "upstream_error"],
    ["an error after the first byte", { status: "upstream_error", errorCode: "upstream_timeout" }, "upstream_error"],
    ["an error that cost nothing", { status: "upstream_error", errorCode: "upstream_error", charged: 0n }, undefined],
    [
      "a stream that ended because its key was revoked",
      { status: "upstream_cut", errorCode: "key_revoked" },
      undefined,
    ],
    ["a cut that nobody explained", { status: "upstream_cut" }, undefined],
    ["an empty answer", { outputTokens: 0 }, "empty_completion"],
    ["an empty answer of another dialect", { outputTokens: 0, route: "/v1/messages" }, "empty_completion"],
    ["an answer that is all reasoning", { outputTokens: 0, reasoningTokens: 9 }, undefined],
    ["a client that left before the first token", { outputTokens: 0, status: "client_closed" }, undefined],
    ["a worker that died", { outputTokens: 0, status: "abandoned" }, undefined],
    ["an embedding, which has no output", { outputTokens: 0, route: "/v1/embeddings" }, undefined],
    [
      "an embedding that failed",
      { outputTokens: 0, route: "/v1/embeddings", status: "upstream_cut", errorCode: "internal_error" },
      "upstream_error",
    ],
    ["an image", { outputTokens: 0, route: "/v1/images/generations", imageCount: 1 }, undefined],
    ["an image where nobody counts", { outputTokens: 0, route: "/v1/images/generations" }, undefined],
    ["no image", { outputTokens: 0, route: "/v1/images/generations", imageCount: 0 }, "failed_image"],
    [
      "an image edit that failed",
      { route: "/v1/images/edits", status: "upstream_error", errorCode: "upstream_error" },
      "failed_image",
    ],
  ])("given %s, when it is looked at, then the rule is as published", (_name, change, rule) => {
    expect(refundRuleOf({ ...chat, ...change }, all)).toBe(rule);
  });

  const lines = fc.record({
    route: fc.constantFrom("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/images/edits", "/v1/rerank"),
    status: fc.constantFrom("ok", "client_closed", "upstream_error", "upstream_cut", "abandoned"),
    errorCode: fc.constantFrom(null, "stream_interrupted", "key_revoked", "client_closed_request"),
    charged: fc.bigInt({ min: 0n, max: 3n }),
    outputTokens: fc.nat(2),
    reasoningTokens: fc.nat(2),
    imageCount: fc.option(fc.nat(2)),
  });

  test("given any line, when a rule is off, then it gives nothing back, and no other rule steps in", () => {
    fc.assert(
      fc.property(
        lines,
        fc.record({ upstream_error: fc.boolean(), empty_completion: fc.boolean(), failed_image: fc.boolean() }),
        (line, rules) => {
          const rule = refundRuleOf(line, all);
          expect(refundRuleOf(line, rules)).toBe(rule !== undefined && rules[rule] ? rule : undefined);
        },
      ),
    );
  });

  test("given any line, when it was free, ended by the client or delivered something whole, then nothing is given back", () => {
    fc.assert(
      fc.property(lines, (line) => {
        const isKept =
          line.charged === 0n ||
          line.status === "client_closed" ||
          line.status === "abandoned" ||
          (line.status !== "ok" && line.errorCode !== "stream_interrupted") ||
          (line.status === "ok" && (line.outputTokens > 0 || line.reasoningTokens > 0) && line.imageCount !== 0);
        fc.pre(isKept);
        expect(refundRuleOf(line, all)).toBeUndefined();
      }),
    );
  });
});
