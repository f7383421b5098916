import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Bus, ReadStreamOptions, StreamState } from "../src/index.ts";
import { happened, startTestBus, type TestBus } from "./_util.ts";

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

/** A caller that keeps its position as billing does. */
class Caller {
  position = 0;
  readonly openings: StreamState[] = [];
  readonly read: number[] = [];
  private failing = 0;

  failNext(): void {
    this.failing += 1;
  }

  options(name: string): ReadStreamOptions {
    return {
      stream: "EVENTS",
      name,
      subject: happened.pattern.replace("{itemId}", "*"),
      batchMax: 10,
      expiresMs: 1_000,
      lingerMs: 5,
      position: async (stream) => {
        this.openings.push(stream);
        if (stream.lastSeq < this.position) this.position = Math.min(this.position, stream.standing);
        return this.position;
      },
      onBatch: async (messages) => {
        if (this.failing > 0) {
          this.failing -= 1;
          throw new Error("not now");
        }
        for (const message of messages) this.read.push(message.seq);
        this.position = messages.at(-1)?.seq ?? this.position;
      },
    };
  }
}

test("given a batch that fails, then it is read again from the position, in order and without an ack wait", async () => {
  const caller = new Caller();
  caller.failNext();
  const reader = bus.readStream(caller.options("retried"));
  for (const name of ["a", "b", "c"]) await publish(name);
  await eventually(() => caller.position === 3, { what: "three messages" });
  expect(caller.read).toEqual([1, 2, 3]);
  await reader.stop();
});

test("given another reader under the same name, then the first has lost its consumer and neither misses a message", async () => {
  const [first, second] = [new Caller(), new Caller()];
  const one = bus.readStream(first.options("shared"));
  await eventually(() => first.position === 3, { what: "the first reader at the end" });
  const two = bus.readStream(second.options("shared"));
  await eventually(() => second.position === 3, { what: "the second reader at the end", timeoutMs: 10_000 });
  await one.stop();
  await publish("d");
  await eventually(() => second.position === 4, { what: "the message after", timeoutMs: 15_000 });
  await two.stop();
});

test("given another message stands where the newest handled one stood, when the server is back, then reading begins anew", async () => {
  const caller = new Caller();
  const reader = bus.readStream(caller.options("rewritten"));
  await eventually(() => caller.position === 4, { what: "everything read" });
  // As after a loss that was refilled: the number is below the end of the stream, and its message is not the one we read.
  const jsm = await jetstreamManager(bus.connection);
  await reader.stop();
  const again = bus.readStream(caller.options("rewritten"));
  await publish("e");
  await eventually(() => caller.position === 5, { what: "the last message", timeoutMs: 10_000 });
  await jsm.streams.deleteMessage("EVENTS", 5);
  await server.nats.restart();
  await eventually(() => caller.openings.some((opening) => opening.lastSeq === 0), {
    what: "an opening that says so",
    timeoutMs: 20_000,
  });
  await publish("f");
  await eventually(() => caller.position === 6, { what: "the message after", timeoutMs: 10_000 });
  // This life read nothing but the message that is gone, so nothing that it knows stands.
  expect(caller.read.filter((seq) => seq === 1)).toHaveLength(2);
  await again.stop();
}, 60_000);
