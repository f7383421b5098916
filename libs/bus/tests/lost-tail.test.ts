import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { Bus, ReadMark, ReadStreamOptions } from "../src/index.ts";
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

/** A caller that keeps its position and its marks as billing does. */
class Caller {
  position = 0;
  readonly read: string[] = [];
  readonly marks: ReadMark[] = [];

  options(name: string, more: Partial<ReadStreamOptions> = {}): ReadStreamOptions {
    return {
      stream: "EVENTS",
      name,
      subject: happened.pattern.replace("{itemId}", "*"),
      batchMax: 4,
      expiresMs: 1_000,
      lingerMs: 1,
      position: ({ lastSeq, standing }) => {
        if (lastSeq < this.position) this.position = Math.min(this.position, standing);
        return Promise.resolve(this.position);
      },
      onBatch: (messages) => {
        for (const { seq, storedAtMs, data } of messages) {
          const { id } = JSON.parse(new TextDecoder().decode(data)) as { id: string };
          this.read.push(id);
          this.marks.push({ seq, storedAtMs });
          this.position = seq;
        }
        return Promise.resolve();
      },
      ...more,
    };
  }
}

test("given a stream that lost its end, when it goes on under the same numbers, then the reader goes on behind what stands", async () => {
  const caller = new Caller();
  const { read } = caller;
  const reader = bus.readStream(caller.options("lost-tail"));
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
  // What was read after the newest batch end that stands, in one batch with lost messages, comes once more.
  expect(after.filter((id) => !id.startsWith("new-")).length).toBeLessThan(4);
  expect(caller.position).toBe(70);

  // Readers that have read nothing themselves, as after a crash, of whom the first is told what was handled.
  const told = new Caller();
  told.position = 100;
  const marks = caller.marks.filter(({ seq }, index) => index < 60 && seq % 10 === 0);
  const next = bus.readStream(told.options("told", { recall: () => Promise.resolve(marks) }));
  await eventually(() => told.read.includes("new-30"), { what: "the rest", timeoutMs: 15_000 });
  await next.stop();
  expect(told.read).toEqual(Array.from({ length: 30 }, (_value, index) => `new-${String(index + 1)}`));
  const untold = new Caller();
  untold.position = 100;
  const another = bus.readStream(untold.options("untold"));
  await eventually(() => untold.read.includes("new-30"), { what: "all of it", timeoutMs: 15_000 });
  await another.stop();
  expect(untold.read).toHaveLength(70);
}, 60_000);
