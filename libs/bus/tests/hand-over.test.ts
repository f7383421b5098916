import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { eventually } from "@codex/testkit";
import { eventHandler, type Bus } from "../src/index.ts";
import { happened, startLink, startTestBus, type Link, type TestBus } from "./_util.ts";

/** Far longer than the tests wait: what comes in time did not wait for it. */
const ackWaitMs = 60_000;

let server: TestBus;
let direct: Bus;
let jsm: JetStreamManager;
let link: Link;
let distant: Bus;

beforeAll(async () => {
  server = await startTestBus();
  direct = await server.connect("direct");
  jsm = await jetstreamManager(direct.connection);
});

beforeEach(async () => {
  await jsm.streams.delete("EVENTS").catch(() => undefined);
  await direct.ensureTopology();
  link = await startLink(server.nats);
  distant = await server.connect("distant", link.url);
});

afterEach(async () => {
  link.letGo();
  await distant.drain();
  await link.stop();
});

afterAll(() => server.stop());

interface Receiver {
  readonly seen: string[];
  stop(): Promise<void>;
}

const consuming = async (bus: Bus): Promise<Receiver> => {
  const seen: string[] = [];
  const consumer = await bus.consume({
    stream: "EVENTS",
    durable: "shared",
    ackWaitMs,
    events: [eventHandler(happened, async ({ itemId }) => void seen.push(itemId))],
  });
  return { seen, stop: () => consumer.stop() };
};

const publish = (itemId: string) =>
  direct.publish(happened, { id: itemId, params: { itemId }, data: { itemId, amount: 1n } });

/** The receiver's request is open, and three messages for it are on their way: the server counts them as delivered. */
const withThreeOnTheirWay = async (first: Receiver): Promise<void> => {
  await publish("early");
  await eventually(() => first.seen.includes("early"), { what: "the first event" });
  link.hold();
  for (const itemId of ["a", "b", "c"]) await publish(itemId);
  await eventually(async () => (await jsm.consumers.info("EVENTS", "shared")).num_ack_pending >= 3, {
    what: "three messages on their way",
  });
};

describe("a receiver with messages on their way", () => {
  test("given messages on their way, when their receiver stops, then it takes none and another has them within a second or so", async () => {
    const first = await consuming(distant);
    await withThreeOnTheirWay(first);
    const stopped = first.stop();
    link.letGo();
    await stopped;
    const second = await consuming(direct);
    await eventually(() => second.seen.length === 3, { what: "the three messages", timeoutMs: 3_000 });
    expect(second.seen.toSorted()).toEqual(["a", "b", "c"]);
    expect(first.seen).toEqual(["early"]);
    await second.stop();
  }, 15_000);

  test("given a connection that says nothing any more, when the receiver stops, then it waits for a second, not for ever", async () => {
    const first = await consuming(distant);
    await withThreeOnTheirWay(first);
    const startedMs = performance.now();
    await first.stop();
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  }, 15_000);
});

test("given a receiver with an open request, when it stops, then the next message goes to another at once", async () => {
  const first = await consuming(distant);
  await publish("early");
  await eventually(() => first.seen.includes("early"), { what: "the first event" });
  await first.stop();
  const second = await consuming(direct);
  await publish("late");
  await eventually(() => second.seen.includes("late"), { what: "the next event", timeoutMs: 3_000 });
  await second.stop();
});
