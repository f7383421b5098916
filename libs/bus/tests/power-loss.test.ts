import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { jetstreamManager } from "@nats-io/jetstream";
import { eventually } from "@codex/testkit";
import { eventHandler, type Bus } from "../src/index.ts";
import { happened, startTestBus, storeFolder, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("shop");
  await bus.ensureTopology();
});

afterAll(() => server.stop());

const publish = (itemId: string) =>
  bus.publish(happened, { id: itemId, params: { itemId }, data: { itemId, amount: 1n } });

const restarted = async (whileDown: () => void): Promise<void> => {
  await server.nats.kill();
  whileDown();
  await server.nats.restart();
  await eventually(async () => bus.status() === "connected" && (await bus.ping().then(() => true)), {
    what: "the connection",
    timeoutMs: 15_000,
  });
};

test("given a disk that lost the stream's last messages but not the consumer's place, when events come, then they are handled", async () => {
  const handled: string[] = [];
  const consumer = await bus.consume({
    stream: "EVENTS",
    durable: "survivor",
    // The server may forget an acknowledgement when it is killed; the message then comes again after this time.
    ackWaitMs: 1_000,
    events: [eventHandler(happened, async ({ itemId }) => void handled.push(itemId))],
  });
  const jsm = await jetstreamManager(bus.connection);
  const floor = async () => (await jsm.consumers.info("EVENTS", "survivor")).ack_floor.stream_seq;
  await publish("kept");
  await eventually(async () => (await floor()) === 1, { what: "the first acknowledgement" });

  const messages = path.join(storeFolder(server.nats), "$G/streams/EVENTS/msgs");
  const copy = `${messages}.copy`;
  await restarted(() => {
    cpSync(messages, copy, { recursive: true });
  });
  for (const name of ["lost-1", "lost-2", "lost-3"]) await publish(name);
  await eventually(async () => (await floor()) === 4, { what: "the later acknowledgements", timeoutMs: 15_000 });
  // A stop in good order, which writes the consumer's place to the disk; then the loss.
  await server.nats.restart();
  await restarted(() => {
    rmSync(messages, { recursive: true });
    cpSync(copy, messages, { recursive: true });
  });
  expect((await jsm.streams.info("EVENTS")).state.last_seq).toBe(1);

  await publish("after-the-loss");
  await eventually(() => handled.includes("after-the-loss"), { what: "the event after the loss", timeoutMs: 15_000 });
  await consumer.stop();
});
