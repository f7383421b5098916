import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AppError } from "@codex/kernel";
import { deadLetterSubject, wildcardOf } from "@codex/contracts";
import { jetstreamManager, type JetStreamManager, type StoredMsg } from "@nats-io/jetstream";
import { eventually } from "@codex/testkit";
import { deadLetterHeaders, eventHandler, PermanentFailure, type Bus, type EventMeta } from "../src/index.ts";
import { happened, ignored, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;
let jsm: JetStreamManager;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("shop");
  jsm = await jetstreamManager(bus.connection);
});

afterAll(() => server.stop());

/** Fresh streams for each test, so that none sees another's messages. */
const cleanTopology = async (): Promise<void> => {
  for (const name of ["EVENTS", "DEAD_LETTERS"]) await jsm.streams.delete(name).catch(() => undefined);
  await bus.ensureTopology();
};

const publish = (itemId: string, amount = 1n) =>
  bus.publish(happened, { id: itemId, params: { itemId }, data: { itemId, amount } });

const deadLetter = (durable: string): Promise<StoredMsg> =>
  eventually(
    async () =>
      (await jsm.streams.getMessage("DEAD_LETTERS", { last_by_subj: deadLetterSubject("EVENTS", durable) })) ??
      undefined,
    { what: "a dead letter", timeoutMs: 15_000 },
  );

const settled = (durable: string) =>
  eventually(
    async () => {
      const info = await jsm.consumers.info("EVENTS", durable);
      return info.num_pending === 0 && info.num_ack_pending === 0 && info;
    },
    { what: "every message to be answered", timeoutMs: 15_000 },
  );

describe("consume", () => {
  test("given a handler that succeeds, when events come, then each is parsed, handled once with its id, and acknowledged", async () => {
    await cleanTopology();
    const seen: { itemId: string; amount: bigint; meta: EventMeta }[] = [];
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "good",
      events: [eventHandler(happened, async (data, meta) => void seen.push({ ...data, meta }))],
    });
    await publish("one", 5n);
    await publish("two", 6n);
    const info = await settled("good");
    expect(info.ack_floor.stream_seq).toBe(2);
    expect(seen.map(({ itemId, amount, meta }) => [itemId, amount, meta.id, meta.deliveries]).sort()).toEqual([
      ["one", 5n, "one", 1],
      ["two", 6n, "two", 1],
    ]);
    expect(consumer.stats()).toEqual({ handled: 2, retried: 0, deadLettered: 0, unknown: 0, inFlight: 0 });
    await consumer.stop();
  });

  test("given a handler that fails twice, when an event comes, then the third delivery succeeds and nothing is dead", async () => {
    await cleanTopology();
    const deliveries: number[] = [];
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "flaky",
      retryBaseMs: 20,
      events: [
        eventHandler(happened, async (_data, meta) => {
          deliveries.push(meta.deliveries);
          if (meta.deliveries < 3) throw new Error("not yet");
        }),
      ],
    });
    await publish("one");
    await eventually(() => consumer.stats().handled === 1, { what: "the third delivery" });
    expect(deliveries).toEqual([1, 2, 3]);
    expect(consumer.stats()).toMatchObject({ retried: 2, deadLettered: 0 });
    await consumer.stop();
  });

  test("given a handler that always fails, when its deliveries are used up, then the event is a dead letter with the reason in headers", async () => {
    await cleanTopology();
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "broken",
      deliveriesMax: 3,
      retryBaseMs: 20,
      events: [eventHandler(happened, () => Promise.reject(new TypeError("it is\nbroken")))],
    });
    const { seq } = await publish("one", 7n);
    const letter = await deadLetter("broken");
    const header = (name: keyof typeof deadLetterHeaders): string => letter.header.get(deadLetterHeaders[name]);
    expect(header("reason")).toBe("exhausted");
    expect(header("error")).toBe("TypeError: it is broken");
    expect(header("subject")).toBe("evt.test.happened.v1.one");
    expect(header("stream")).toBe("EVENTS");
    expect(header("consumer")).toBe("broken");
    expect(header("seq")).toBe(String(seq));
    expect(header("deliveries")).toBe("3");
    expect(Date.parse(header("time"))).not.toBeNaN();
    expect(letter.header.get("content-type")).toBe("application/cloudevents+json");
    expect(letter.json()).toMatchObject({ id: "one", data: { itemId: "one", amount: "7" } });
    await settled("broken");
    expect(consumer.stats()).toEqual({ handled: 0, retried: 2, deadLettered: 1, unknown: 0, inFlight: 0 });
    await consumer.stop();
  });

  test("given a handler that says no retry can help, when it fails, then the event is a dead letter at once", async () => {
    await cleanTopology();
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "hopeless",
      events: [eventHandler(happened, () => Promise.reject(new PermanentFailure("no such item")))],
    });
    await publish("one");
    const letter = await deadLetter("hopeless");
    expect(letter.header.get(deadLetterHeaders.reason)).toBe("permanent");
    expect(letter.header.get(deadLetterHeaders.deliveries)).toBe("1");
    await consumer.stop();
  });

  test("given a dependency that is down, when deliveries go past the limit, then the event is kept until it is up again", async () => {
    await cleanTopology();
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "waiting",
      deliveriesMax: 2,
      retryBaseMs: 5,
      events: [
        eventHandler(happened, async (_data, meta) => {
          if (meta.deliveries <= 4)
            throw new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "Down." });
        }),
      ],
    });
    await publish("one");
    await eventually(() => consumer.stats().handled === 1, { what: "the dependency to be up" });
    expect(consumer.stats()).toMatchObject({ retried: 4, deadLettered: 0 });
    await consumer.stop();
  });

  test.each([
    ["bytes that are not JSON", "{oops"],
    ["JSON that is no CloudEvent", "[]"],
    [
      "data that does not fit the contract",
      '{"specversion":"1.0","id":"x","source":"s","type":"test.happened.v1","time":"2026-01-01T00:00:00Z","data":{"itemId":"a","amount":5}}',
    ],
    ["bytes that are not UTF-8", Uint8Array.of(0xff, 0xfe)],
  ])(
    "given %s, when consumed, then it is a dead letter at once and the next event is handled",
    async (_name, payload) => {
      await cleanTopology();
      const consumer = await bus.consume({
        stream: "EVENTS",
        durable: "poisoned",
        events: [eventHandler(happened, async () => undefined)],
      });
      await bus.publishRaw([
        { eventId: "poison", subject: "evt.test.happened.v1.x", payload, headers: { "x-sender": "kept" } },
      ]);
      await publish("healthy");
      const letter = await deadLetter("poisoned");
      expect(letter.header.get(deadLetterHeaders.reason)).toBe("poison");
      expect(letter.header.get(deadLetterHeaders.error)).not.toBe("");
      expect(letter.header.get("x-sender")).toBe("kept");
      expect(Buffer.from(letter.data)).toEqual(Buffer.from(payload));
      await settled("poisoned");
      expect(consumer.stats()).toMatchObject({ handled: 1, deadLettered: 1, retried: 0 });
      await consumer.stop();
    },
  );

  test("given events of a type without a handler, when the filter lets them through, then they are counted and acknowledged", async () => {
    await cleanTopology();
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "picky",
      filterSubjects: [],
      events: [eventHandler(happened, async () => undefined)],
    });
    await bus.publish(ignored, { params: { itemId: "a" }, data: { itemId: "a" } });
    await publish("one");
    await settled("picky");
    expect(consumer.stats()).toMatchObject({ handled: 1, unknown: 1, deadLettered: 0 });
    await consumer.stop();
  });

  test("given two event types on a server of any version, when consumed, then both arrive and others do no harm", async () => {
    await cleanTopology();
    const types: string[] = [];
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "both",
      events: [
        eventHandler(happened, async () => void types.push("happened")),
        eventHandler(ignored, async () => void types.push("ignored")),
      ],
    });
    await publish("one");
    await bus.publish(ignored, { params: { itemId: "a" }, data: { itemId: "a" } });
    await bus.publishRaw([{ eventId: "other", subject: "evt.test.other.v1.a", payload: "not ours", headers: {} }]);
    await settled("both");
    expect(types.sort()).toEqual(["happened", "ignored"]);
    expect(consumer.stats()).toMatchObject({ handled: 2, deadLettered: 0 });
    await consumer.stop();
  });

  test("given a durable whose filter and limits were others, when consumed again, then it is changed and keeps its place", async () => {
    await cleanTopology();
    const events = [eventHandler(happened, async () => undefined)];
    const first = await bus.consume({ stream: "EVENTS", durable: "moving", events });
    await publish("one");
    await settled("moving");
    await first.stop();
    const second = await bus.consume({
      stream: "EVENTS",
      durable: "moving",
      events,
      filterSubjects: [],
      maxAckPending: 7,
      ackWaitMs: 5_000,
    });
    const { config, ack_floor: floor } = await jsm.consumers.info("EVENTS", "moving");
    expect([config.filter_subject ?? "", config.max_ack_pending, config.ack_wait, floor.stream_seq]).toEqual([
      "",
      7,
      5_000_000_000,
      1,
    ]);
    await second.stop();
    const third = await bus.consume({ stream: "EVENTS", durable: "moving", events });
    expect((await jsm.consumers.info("EVENTS", "moving")).config.filter_subject).toBe(wildcardOf(happened.pattern));
    await third.stop();
  });

  test("given a stream that vanishes under a running consumer, when it is there again, then consumption goes on", async () => {
    await cleanTopology();
    const seen: string[] = [];
    const consumer = await bus.consume({
      stream: "EVENTS",
      durable: "stubborn",
      events: [eventHandler(happened, async ({ itemId }) => void seen.push(itemId))],
    });
    await publish("before");
    await eventually(() => seen.includes("before"), { what: "the first event" });
    await cleanTopology();
    await publish("after");
    await eventually(() => seen.includes("after"), {
      what: "the event after the stream was made again",
      timeoutMs: 20_000,
    });
    await consumer.stop();
  });

  test("given an event of another stream, when consumed, then starting fails", async () => {
    await expect(
      bus.consume({ stream: "COMMANDS", durable: "wrong", events: [eventHandler(happened, async () => undefined)] }),
    ).rejects.toThrow("test.happened is not in stream COMMANDS");
  });
});
