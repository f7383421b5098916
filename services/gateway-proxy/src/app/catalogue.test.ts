import type { ChannelSnapshot, PriceBook } from "@codex/contracts";
import { AppError, ManualClock, newId, type Clock } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { Catalogue } from "./catalogue.ts";

function book(...models: string[]): PriceBook {
  return {
    version: newId("prc"),
    effectiveAt: "2026-11-23T12:00:00.000Z",
    models: models.map((model) => ({
      model,
      displayName: model,
      contextTokens: 1_000,
      outputTokensMax: 100,
      rates: { input: 1n, cachedInput: 1n, cacheWrite: 1n, cacheWrite1h: 1n, output: 1n, reasoning: 1n },
      perRequest: 0n,
      perImage: [],
      perAudioSecond: 0n,
      tiers: [],
      offPeak: [],
    })),
    groups: [],
  };
}

function channel(name: string, more: Partial<ChannelSnapshot> = {}): ChannelSnapshot {
  return {
    channelId: newId("chn"),
    name,
    version: 1,
    kind: "openai-compatible",
    baseUrl: "https://up.example/v1",
    egress: "public",
    apiVersion: null,
    models: { "demo-small": "small-2026" },
    priority: 0,
    weight: 100,
    state: "enabled",
    firstByteTimeoutMs: null,
    betweenBytesTimeoutMs: null,
    concurrencyMax: null,
    dailyBudgetMicroTokens: null,
    dailyRequestsMax: null,
    keys: [],
    keyless: true,
    ...more,
  };
}

function empty(clock: Clock = new ManualClock()): Catalogue {
  return new Catalogue({ open: () => "secret", onUnreadable: () => undefined, clock });
}

function catalogue(prices: PriceBook, channels: readonly ChannelSnapshot[]): Catalogue {
  const made = empty();
  made.setPrices(prices);
  made.setChannels(channels);
  return made;
}

function refusalOf(work: () => unknown): AppError {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("was offered");
}

describe("routes of a model", () => {
  test("given several channels, then the highest priority comes first, and equal ones by name", () => {
    const { routes } = catalogue(book("demo-small"), [
      channel("b", { priority: 5 }),
      channel("z", { priority: 9 }),
      channel("a", { priority: 5 }),
      channel("other", { models: { "demo-large": "large" } }),
    ]).offer("demo-small", null);
    expect(routes.map((route) => route.channelName)).toEqual(["z", "a", "b"]);
    expect(routes[0]).toMatchObject({ upstreamModel: "small-2026", kind: "openai-compatible" });
  });

  test("given a base URL that ends in slashes, then they are dropped", () => {
    const { routes } = catalogue(book("demo-small"), [channel("a", { baseUrl: "https://up.example/v1//" })]).offer(
      "demo-small",
      null,
    );
    expect([routes[0]?.channel.origin, routes[0]?.channel.basePath]).toEqual(["https://up.example", "/v1"]);
  });

  test("given a disabled channel, then it delivers nothing; the model of a lone one does not exist", () => {
    const made = catalogue(book("demo-small"), [channel("on"), channel("off", { priority: 9, state: "disabled" })]);
    expect(made.offer("demo-small", null).routes.map((route) => route.channelName)).toEqual(["on"]);
    made.setChannels([channel("off", { state: "disabled" })]);
    expect(refusalOf(() => made.offer("demo-small", null)).code).toBe("model_not_found");
    expect(made.models()).toEqual([]);
  });

  test("given no price, then a model with a channel does not exist; given the price arrives, it does", () => {
    const made = empty();
    made.setChannels([channel("a")]);
    expect(made.priced).toBe(false);
    expect(refusalOf(() => made.offer("demo-small", null)).code).toBe("model_not_found");
    const prices = book("demo-small");
    made.setPrices(prices);
    expect(made.priced).toBe(true);
    expect(made.offer("demo-small", null).priceVersion).toBe(prices.version);
  });

  test("given a model named like a property of every object, then it does not exist", () => {
    const made = catalogue(book("constructor", "demo-small"), [channel("a")]);
    expect(refusalOf(() => made.offer("constructor", null)).code).toBe("model_not_found");
  });
});

describe("a key's allow-list", () => {
  const made = catalogue(book("demo-small", "demo-large"), [
    channel("a", { models: { "demo-small": "s", "demo-large": "l" } }),
  ]);

  test("given the model is on it, then it is offered", () => {
    expect(made.offer("demo-large", ["demo-large"]).price.model).toBe("demo-large");
  });

  test("given it is not on it, then 403 says what is", () => {
    const refusal = refusalOf(() => made.offer("demo-small", ["demo-large"]));
    expect(refusal).toMatchObject({ kind: "forbidden", code: "model_not_allowed", param: "model" });
    expect(refusal.publicMessage).toContain("demo-large");
  });

  test("given an empty one, then nothing is allowed", () => {
    expect(refusalOf(() => made.offer("demo-small", [])).code).toBe("model_not_allowed");
  });

  test("given an unknown model, then 404 names the nearest of those the key may use, and no other", () => {
    const refusal = refusalOf(() => made.offer("demo-smal", ["demo-large"]));
    expect(refusal).toMatchObject({ kind: "not_found", code: "model_not_found" });
    expect(refusal.metadata).toEqual({ nearest: ["demo-large"] });
    expect(refusalOf(() => made.offer("demo-smal", null)).metadata).toEqual({ nearest: ["demo-small", "demo-large"] });
  });
});

describe("a scheduled price book", () => {
  const at = (version: PriceBook, instant: string): PriceBook => ({ ...version, effectiveAt: instant });
  const start = new Date("2026-11-23T12:00:00.000Z");
  const now = at(book("demo-small"), "2026-11-23T11:00:00.000Z");
  const later = at(book("demo-small", "demo-large"), "2026-11-23T12:00:10.000Z");
  const channels = [channel("a", { models: { "demo-small": "s", "demo-large": "l" } })];

  function scheduled(): { readonly made: Catalogue; readonly clock: ManualClock; readonly version: () => string } {
    const clock = new ManualClock(start);
    const made = empty(clock);
    made.setChannels(channels);
    made.setPrices(now);
    made.setNextPrices(later);
    return { made, clock, version: () => made.offer("demo-small", null).priceVersion };
  }

  test("given its time comes, when nobody says anything, then it is in force from that millisecond on", () => {
    const { made, clock, version } = scheduled();
    clock.advance(9_999);
    expect(version()).toBe(now.version);
    expect(made.models()).toHaveLength(1);
    clock.advance(1);
    expect(made.models()).toHaveLength(2);
    expect(version()).toBe(later.version);
  });

  test("given it is in force, when billing catches up and takes it out of the future, then it stays", () => {
    const { made, clock, version } = scheduled();
    clock.advance(10_000);
    expect(version()).toBe(later.version);
    made.setPrices(later);
    made.setNextPrices(undefined);
    expect(version()).toBe(later.version);
  });

  test("given it is cancelled before its time, when the time comes, then the old prices hold", () => {
    const { made, clock, version } = scheduled();
    made.setNextPrices(undefined);
    clock.advance(10_000);
    expect(version()).toBe(now.version);
  });

  test("given a clock that is behind, when billing says it is in force, then it is", () => {
    const { made, version } = scheduled();
    made.setPrices(later);
    expect(version()).toBe(later.version);
  });

  test("given a version that was made in a hurry after it, when the time of the scheduled one is over, then the later one holds", () => {
    const { made, clock, version } = scheduled();
    clock.advance(20_000);
    const hurried = at(book("demo-small"), "2026-11-23T12:00:15.000Z");
    made.setPrices(hurried);
    expect(version()).toBe(hurried.version);
  });

  test("given a worker that starts after the time, when both books arrive, then the next one is in force at once", () => {
    const clock = new ManualClock(new Date("2026-11-23T13:00:00.000Z"));
    const made = empty(clock);
    made.setNextPrices(later);
    made.setPrices(now);
    made.setChannels(channels);
    expect(made.offer("demo-small", null).priceVersion).toBe(later.version);
  });
});
