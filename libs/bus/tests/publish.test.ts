import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AppError } from "@codex/kernel";
import { decodeEvent, type Bus } from "../src/index.ts";
import { happened, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("shop");
  await bus.ensureTopology();
});

afterAll(() => server.stop());

const stored = async (seq: number) => {
  const { jetstreamManager } = await import("@nats-io/jetstream");
  const jsm = await jetstreamManager(bus.connection);
  const message = await jsm.streams.getMessage("EVENTS", { seq });
  if (!message) throw new Error("nothing stored");
  return message;
};

describe("publish", () => {
  test("given the same id twice, when published, then the stream holds one message and the second receipt says so", async () => {
    const message = { id: "same", params: { itemId: "a" }, data: { itemId: "a", amount: 1n } };
    const first = await bus.publish(happened, message);
    const second = await bus.publish(happened, message);
    expect(first).toEqual({ stream: "EVENTS", seq: first.seq, duplicate: false });
    expect(second).toEqual({ stream: "EVENTS", seq: first.seq, duplicate: true });
  });

  test("given a bigint amount, when published, then it is text on the wire, in a CloudEvent, and comes back as bigint", async () => {
    const time = new Date("2026-11-23T10:00:00.000Z");
    const receipt = await bus.publish(happened, {
      id: "wire",
      time,
      params: { itemId: "b" },
      data: { itemId: "b", amount: 9_007_199_254_740_993n },
    });
    const message = await stored(receipt.seq);
    expect(message.subject).toBe("evt.test.happened.v1.b");
    expect(message.json()).toEqual({
      specversion: "1.0",
      id: "wire",
      source: "shop",
      type: "test.happened.v1",
      time: "2026-11-23T10:00:00.000Z",
      datacontenttype: "application/json",
      data: { itemId: "b", amount: "9007199254740993" },
    });
    expect(message.header.get("content-type")).toBe("application/cloudevents+json");
    expect(decodeEvent(happened, message.data)).toEqual({
      ok: true,
      value: { id: "wire", source: "shop", time, data: { itemId: "b", amount: 9_007_199_254_740_993n } },
    });
  });

  test("given data larger than the stream takes, when encoded, then it is refused before it can block an outbox", () => {
    const itemId = "x".repeat(70_000);
    expect(() => bus.encode(happened, { params: { itemId: "c" }, data: { itemId, amount: 1n } })).toThrow(
      "exceeds the 65536",
    );
  });

  test("given a thousand outbox rows, when published raw, then all are stored in their order", async () => {
    const rows = Array.from({ length: 1_000 }, (_item, index) =>
      bus.encode(happened, {
        id: `raw-${String(index)}`,
        params: { itemId: "raw" },
        data: { itemId: "raw", amount: BigInt(index) },
      }),
    );
    await bus.publishRaw(rows);
    const last = await bus.publish(happened, { params: { itemId: "end" }, data: { itemId: "end", amount: 0n } });
    const first = decodeEvent(happened, (await stored(last.seq - 1_000)).data);
    const final = decodeEvent(happened, (await stored(last.seq - 1)).data);
    expect(first).toMatchObject({ value: { id: "raw-0" } });
    expect(final).toMatchObject({ value: { id: "raw-999" } });
  });

  test("given a subject that no stream stores, when published raw, then it throws unavailable", async () => {
    const row = { eventId: "lost", subject: "nowhere.at.all", payload: "{}", headers: {} };
    const error = await bus.publishRaw([row]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ kind: "unavailable", code: "service_unavailable" });
  });
});

test("given a connection, then status, ping and server version answer, and draining closes it for good", async () => {
  const other = await server.connect("other");
  expect(other.status()).toBe("connected");
  expect(other.serverVersion).toMatch(/^2\.\d+\.\d+/);
  await other.ping();
  await other.drain();
  await other.drain();
  expect(other.status()).toBe("closed");
  await expect(other.ping()).rejects.toMatchObject({ kind: "unavailable" });
});
