import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { Bus } from "../src/index.ts";
import { happened, startTestBus, storeFolder, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;
let jsm: JetStreamManager;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("shop");
  await bus.ensureTopology();
  jsm = await jetstreamManager(bus.connection);
});

afterAll(() => server.stop());

const publish = async (prefix: string, count: number): Promise<void> => {
  for (let index = 1; index <= count; index += 1) {
    const itemId = `${prefix}-${String(index)}`;
    await bus.publish(happened, { id: itemId, params: { itemId }, data: { itemId, amount: 1n } });
  }
};

const restarted = async (whileDown: () => void): Promise<void> => {
  await server.nats.kill();
  whileDown();
  await server.nats.restart();
  await eventually(async () => bus.status() === "connected" && (await bus.ping().then(() => true)), {
    what: "the connection",
    timeoutMs: 15_000,
  });
};

test("given a stream that lost its end, when it goes on under the same numbers, then the reader goes on behind what stands", async () => {
  const read: string[] = [];
  let position = 0;
  const reader = bus.readStream({
    stream: "EVENTS",
    name: "lost-tail",
    subject: happened.pattern.replace("{itemId}", "*"),
    batchMax: 4,
    expiresMs: 1_000,
    lingerMs: 1,
    // As billing answers: a stream that ends before the position tells nothing about what stands.
    position: ({ lastSeq }) => {
      if (lastSeq < position) position = 0;
      return Promise.resolve(position);
    },
    onBatch: (messages) => {
      for (const { data } of messages) {
        const { id } = JSON.parse(new TextDecoder().decode(data)) as { id: string };
        read.push(id);
      }
      position = messages.at(-1)?.seq ?? position;
      return Promise.resolve();
    },
  });
  await publish("kept", 40);
  await eventually(() => read.length === 40, { what: "forty messages" });
  const messages = path.join(storeFolder(server.nats), "$G/streams/EVENTS/msgs");
  const copy = `${messages}.copy`;
  await restarted(() => {
    cpSync(messages, copy, { recursive: true });
  });
  await publish("lost", 20);
  await eventually(() => read.length === 60, { what: "twenty more", timeoutMs: 15_000 });
  await restarted(() => {
    rmSync(messages, { recursive: true });
    cpSync(copy, messages, { recursive: true });
  });
  expect((await jsm.streams.info("EVENTS")).state.last_seq).toBe(40);

  await publish("new", 30);
  await eventually(() => read.includes("new-30"), { what: "what came after the loss", timeoutMs: 15_000 });
  await reader.stop();
  const after = read.slice(60);
  expect(after.filter((id) => id.startsWith("new-"))).toEqual(
    Array.from({ length: 30 }, (_value, index) => `new-${String(index + 1)}`),
  );
  // The newest batch end that stands comes once more, and what was read after it in one batch with lost messages.
  const again = after.filter((id) => !id.startsWith("new-"));
  expect(again.length).toBeGreaterThanOrEqual(1);
  expect(again.length).toBeLessThanOrEqual(4);
  expect(position).toBe(70);
}, 60_000);
