import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { z } from "zod";
import type { Bus, KvChange, TypedKv } from "../src/index.ts";
import { prices, startTestBus, storeFolder, type TestBus } from "./_util.ts";

interface Price {
  price: bigint;
}

let server: TestBus;
let bus: Bus;
let kv: TypedKv<Price>;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("prices");
  kv = await bus.kv(prices);
});

afterAll(() => server.stop());

describe("a bucket", () => {
  test("given a value, when put and read, then it is the typed value with its revision, and null after deletion", async () => {
    expect(await kv.get("none")).toBeNull();
    const revision = await kv.put("a", { price: 5n });
    expect(await kv.get("a")).toEqual({ key: "a", value: { price: 5n }, revision });
    await kv.delete("a");
    expect(await kv.get("a")).toBeNull();
  });

  test("given a key with a value, when created, then it is refused; after deletion it is made", async () => {
    expect(await kv.create("b", { price: 1n })).toEqual(expect.any(Number));
    expect(await kv.create("b", { price: 2n })).toBeNull();
    expect((await kv.get("b"))?.value).toEqual({ price: 1n });
    await kv.delete("b");
    expect(await kv.create("b", { price: 3n })).toEqual(expect.any(Number));
  });

  test("given two writers that saw the same revision, when both update, then one is refused", async () => {
    const revision = await kv.put("c", { price: 1n });
    const outcomes = await Promise.all([
      kv.update("c", { price: 2n }, revision),
      kv.update("c", { price: 3n }, revision),
    ]);
    expect(outcomes.filter((outcome) => outcome === null)).toHaveLength(1);
  });

  test("given a value larger than declared, when put, then it is refused", async () => {
    const small = await bus.kv({ ...prices, bucket: "test_small", maxValueBytes: 20 });
    await expect(small.put("d", { price: 10n ** 18n })).rejects.toThrow("exceeds the 20");
  });

  test("given a bucket that packs, when a value is above its limit, then it is stored small and reads as it was; a small one stays text", async () => {
    const names = z.array(z.string());
    const packed = await bus.kv({
      ...prices,
      bucket: "test_packed",
      value: names,
      maxValueBytes: 500,
      gzipAboveBytes: 100,
    });
    const long = Array.from({ length: 1_000 }, () => "demo-small");
    await packed.put("long", long);
    await packed.put("short", ["demo-small"]);
    expect((await packed.get("long"))?.value).toEqual(long);
    expect((await packed.get("short"))?.value).toEqual(["demo-small"]);
    const seen: unknown[] = [];
    const watch = await packed.watch({ key: "long", onChange: ({ value }) => seen.push(value) });
    await eventually(() => seen.length === 1, { what: "the value in the watch" });
    expect(seen).toEqual([long]);
    await watch.stop();
    const noise = Array.from({ length: 100 }, (_, index) => createHash("sha256").update(String(index)).digest("hex"));
    await expect(packed.put("noise", noise)).rejects.toThrow("exceeds the 500");
  });

  test("given bytes that begin like gzip and are none, when read, then they count as no value", async () => {
    await bus.publishRaw([
      { eventId: "torn", subject: "$KV.test_prices.torn", payload: "\u001f\u008b{}", headers: {} },
    ]);
    expect(await kv.get("torn")).toBeNull();
  });

  test("given bytes that do not fit the contract, when read, then they count as no value and are logged", async () => {
    await bus.publishRaw([{ eventId: "bad", subject: "$KV.test_prices.bad", payload: '{"price":-1}', headers: {} }]);
    expect(await kv.get("bad")).toBeNull();
    expect(server.logger.lines).toContainEqual(
      expect.objectContaining({ level: "error", event: "bus.kv.unreadable_value", name: "test_prices/bad" }),
    );
  });
});

describe("watch", () => {
  const record = () => {
    const changes: KvChange<Price>[] = [];
    let readyAt = -1;
    return {
      changes,
      onChange: (change: KvChange<Price>) => void changes.push(change),
      onReady: () => {
        readyAt = changes.length;
      },
      readyAt: () => readyAt,
      last: (key: string) => changes.findLast((change) => change.key === key)?.value?.price,
    };
  };

  test("given present values, when watched, then they come first, then ready once, then changes and deletions; bad values are passed over", async () => {
    await kv.put("w.a", { price: 1n });
    await kv.put("w.b", { price: 2n });
    const seen = record();
    const watch = await kv.watch({ key: "w.*", onChange: seen.onChange, onReady: seen.onReady });
    await eventually(() => seen.readyAt() >= 0, { what: "ready" });
    expect(seen.readyAt()).toBe(2);
    await bus.publishRaw([{ eventId: "bad-2", subject: "$KV.test_prices.w.c", payload: "oops", headers: {} }]);
    await kv.put("w.a", { price: 9n });
    await kv.delete("w.b");
    await kv.put("elsewhere", { price: 4n });
    await eventually(() => seen.changes.length === 4, { what: "two changes" });
    expect(seen.changes.map(({ key, value }) => [key, value])).toEqual([
      ["w.a", { price: 1n }],
      ["w.b", { price: 2n }],
      ["w.a", { price: 9n }],
      ["w.b", null],
    ]);
    await watch.stop();
    await kv.put("w.a", { price: 10n });
    expect((await kv.get("w.a"))?.value.price).toBe(10n);
    expect(seen.changes).toHaveLength(4);
  });

  test("given no present value, when watched, then it is ready at once", async () => {
    const seen = record();
    const watch = await kv.watch({ key: "nothing.here", onChange: seen.onChange, onReady: seen.onReady });
    await eventually(() => seen.readyAt() === 0, { what: "ready" });
    await watch.stop();
  });

  test("given a listener that throws, when a value changes, then it is logged and the next one is delivered", async () => {
    const got: bigint[] = [];
    const watch = await kv.watch({
      key: "t",
      onChange: ({ value }) => {
        if (value?.price === 1n) throw new Error("listener broke");
        got.push(value?.price ?? -1n);
      },
    });
    await kv.put("t", { price: 1n });
    await kv.put("t", { price: 2n });
    await eventually(() => got.length === 1, { what: "the second value" });
    expect(got).toEqual([2n]);
    expect(server.logger.lines).toContainEqual(expect.objectContaining({ event: "bus.kv.listener_failed" }));
    await watch.stop();
  });

  test("given a server that crashes and comes back, when a value changes, then the watch delivers it soon and repeats nothing", async () => {
    const seen = record();
    await kv.put("r", { price: 1n });
    const watch = await kv.watch({ key: "r", onChange: seen.onChange });
    await eventually(() => seen.last("r") === 1n, { what: "the present value" });
    await server.nats.kill();
    await server.nats.restart();
    await eventually(() => bus.status() === "connected" && kv.put("r", { price: 2n }), {
      what: "the server to be back",
      timeoutMs: 15_000,
    });
    await eventually(() => seen.last("r") === 2n, { what: "the change after the crash" });
    expect(seen.changes.map(({ value }) => value?.price)).toEqual([1n, 2n]);
    await watch.stop();
  });

  test("given a server that comes back without its data, when the bucket is made again, then the watch delivers its new values soon", async () => {
    const seen = record();
    await kv.put("lost", { price: 1n });
    const watch = await kv.watch({ key: "lost", onChange: seen.onChange });
    await eventually(() => seen.last("lost") === 1n, { what: "the present value" });
    const before = seen.changes.at(-1)?.revision ?? 0;
    await server.nats.kill();
    rmSync(storeFolder(server.nats), { recursive: true });
    await server.nats.restart();
    const again = await eventually(() => bus.kv(prices), { what: "the bucket to be made again", timeoutMs: 15_000 });
    await again.put("lost", { price: 2n });
    await eventually(() => seen.last("lost") === 2n, { what: "the value after the loss" });
    expect(seen.changes.at(-1)?.revision).toBeLessThan(before);
    await watch.stop();
  });
});
