import { describe, expect, test } from "@jest/globals";
import * as z from "zod";
import { newId } from "@codex/kernel";
import { usageRecord } from "./billing.ts";
import { modelPrice, priceBook, tokenCounts } from "./pricing.ts";

/** As a price file of the first version has it. */
const oldPrice = {
  model: "m",
  displayName: "M",
  contextTokens: 100,
  outputTokensMax: 10,
  rates: { input: "10", cachedInput: "1", cacheWrite: "12", output: "20", reasoning: "20" },
  perRequest: "5",
};
const newPrice = {
  ...oldPrice,
  rates: { ...oldPrice.rates, cacheWrite1h: "24" },
  perImage: [{ variant: "1024x1024-high", microTokens: "40000" }],
  perAudioSecond: "100",
  tiers: [{ aboveInputTokens: 50, rates: { ...oldPrice.rates, cacheWrite1h: "48" } }],
  offPeak: [{ days: ["sat", "sun"], fromUtc: "16:30", toUtc: "00:30", multiplierPpm: 500_000 }],
};

describe("a price", () => {
  test("given one of before the classes, when it is read, then an hour in the cache costs what five minutes do and nothing is added", () => {
    expect(modelPrice.parse(oldPrice)).toEqual({
      model: "m",
      displayName: "M",
      contextTokens: 100,
      outputTokensMax: 10,
      rates: { input: 10n, cachedInput: 1n, cacheWrite: 12n, cacheWrite1h: 12n, output: 20n, reasoning: 20n },
      perRequest: 5n,
      perImage: [],
      perAudioSecond: 0n,
      tiers: [],
      offPeak: [],
    });
    const book = { version: newId("prc"), effectiveAt: "2026-11-23T12:00:00.000Z", models: [oldPrice] };
    expect(priceBook.parse(book).groups).toEqual([]);
  });

  test("given one with every field, when it is read and written, then it is the same", () => {
    expect(z.encode(modelPrice, modelPrice.parse(newPrice))).toEqual(newPrice);
  });

  test.each([
    ["a day that is none", { offPeak: [{ ...newPrice.offPeak[0], days: ["someday"] }] }],
    ["a time that is none", { offPeak: [{ ...newPrice.offPeak[0], fromUtc: "24:00" }] }],
    ["a fraction of a millionth", { offPeak: [{ ...newPrice.offPeak[0], multiplierPpm: 0.5 }] }],
    ["a negative multiplier", { offPeak: [{ ...newPrice.offPeak[0], multiplierPpm: -1 }] }],
    ["a rate as a number", { perAudioSecond: 5 }],
    ["a tier of rates that are not whole", { tiers: [{ aboveInputTokens: 50, rates: { input: "1" } }] }],
    ["a field nobody knows", { perVideo: "5" }],
  ])("given %s, when it is read, then it is refused", (_name, change) => {
    expect(modelPrice.safeParse({ ...newPrice, ...change }).success).toBe(false);
  });
});

describe("a usage record", () => {
  const old = {
    type: "usage",
    seq: 1,
    requestId: newId("req"),
    accountId: newId("acc"),
    keyId: newId("key"),
    leaseId: newId("lse"),
    route: "/v1/chat/completions",
    model: "m",
    channel: null,
    status: "ok",
    httpStatus: 200,
    errorCode: null,
    streamed: false,
    tokens: { input: 1, cachedInput: 0, cacheWrite: 0, output: 1, reasoning: 0 },
    estimated: false,
    priceVersion: newId("prc"),
    holdMicroTokens: "10",
    costMicroTokens: "1",
    startedAt: "2026-11-23T12:00:00.000Z",
    firstByteMs: null,
    durationMs: 1,
  };

  test("given one of an older gateway, when it is read, then it used nothing of what it could not say", () => {
    expect(usageRecord.parse(old)).toMatchObject({
      tokens: { cacheWrite1h: 0 },
      images: null,
      audioMs: 0,
      priceGroup: "default",
    });
    expect(tokenCounts.parse(old.tokens).cacheWrite1h).toBe(0);
  });

  test.each([
    ["a group with a blank", { priceGroup: "v i p" }],
    ["a group that is too long", { priceGroup: "x".repeat(33) }],
    ["a variant that is too long", { images: { count: 1, variant: "x".repeat(33) } }],
    ["half a picture", { images: { count: 0.5, variant: "x" } }],
    ["negative sound", { audioMs: -1 }],
  ])("given %s, when it is read, then it is refused", (_name, change) => {
    expect(usageRecord.safeParse({ ...old, ...change }).success).toBe(false);
  });
});
