import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { jetstreamManager } from "@nats-io/jetstream";
import { eventually } from "@codex/testkit";
import { decodeEvent, startOutboxRelay, type Bus, type OutboxSource, type OutgoingMessage } from "../src/index.ts";
import { gate, happened, recordingLogger, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("shop");
  await bus.ensureTopology();
});

afterAll(() => server.stop());

/** An outbox table without the database: rows in commit order, removed only when the publisher has resolved. */
class MemoryOutbox implements OutboxSource {
  readonly rows: OutgoingMessage[] = [];
  notifies = true;
  batches = 0;
  listeners = 0;
  private notify: () => void = () => undefined;

  commit(...names: readonly string[]): void {
    for (const name of names)
      this.rows.push(bus.encode(happened, { id: name, params: { itemId: name }, data: { itemId: name, amount: 1n } }));
    if (this.notifies) this.notify();
  }

  async process(limit: number, publish: (rows: readonly OutgoingMessage[]) => Promise<void>): Promise<number> {
    const batch = this.rows.slice(0, limit);
    if (batch.length === 0) return 0;
    this.batches += 1;
    await publish(batch);
    this.rows.splice(0, batch.length);
    return batch.length;
  }

  listen(onNotify: () => void): Promise<() => Promise<void>> {
    this.notify = onNotify;
    this.listeners += 1;
    return Promise.resolve(() => {
      this.listeners -= 1;
      return Promise.resolve();
    });
  }
}

/** Ids in the stream of events whose item begins with the prefix, in the stream's order. */
const storedIds = async (prefix: string): Promise<string[]> => {
  const jsm = await jetstreamManager(bus.connection);
  const { state } = await jsm.streams.info("EVENTS");
  const ids: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const message = await jsm.streams.getMessage("EVENTS", { seq });
    const event = message ? decodeEvent(happened, message.data) : undefined;
    if (event?.ok === true && event.value.id.startsWith(prefix)) ids.push(event.value.id);
  }
  return ids;
};

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_item, index) => `${prefix}-${String(index).padStart(3, "0")}`);

describe("the outbox relay", () => {
  test("given rows, when committed, then a notification moves them at once and in order, in batches", async () => {
    const source = new MemoryOutbox();
    const relay = await startOutboxRelay({ source, bus, logger: server.logger, batchMax: 10, pollMs: 60_000 });
    source.commit(...names("note", 25));
    await eventually(() => source.rows.length === 0, { what: "the outbox to be empty" });
    expect(await storedIds("note")).toEqual(names("note", 25));
    expect(source.batches).toBe(3);
    await relay.stop();
    expect(source.listeners).toBe(0);
  });

  test("given a notification that is lost, when rows are committed, then polling moves them", async () => {
    const source = new MemoryOutbox();
    source.notifies = false;
    const relay = await startOutboxRelay({ source, bus, logger: server.logger, pollMs: 50 });
    source.commit("poll-a");
    await eventually(() => source.rows.length === 0, { what: "the outbox to be empty" });
    expect(await storedIds("poll")).toEqual(["poll-a"]);
    await relay.stop();
  });

  test("given a flush, when it resolves, then everything committed before is stored", async () => {
    const source = new MemoryOutbox();
    source.notifies = false;
    const relay = await startOutboxRelay({ source, bus, logger: server.logger, batchMax: 7, pollMs: 60_000 });
    source.commit(...names("flush", 20));
    await relay.flush();
    expect(await storedIds("flush")).toEqual(names("flush", 20));
    await relay.stop();
  });

  test("given a stopped relay, when rows are committed, then they stay for the next start", async () => {
    const source = new MemoryOutbox();
    const relay = await startOutboxRelay({ source, bus, logger: server.logger });
    await relay.stop();
    source.commit("later");
    expect(source.rows).toHaveLength(1);
    const next = await startOutboxRelay({ source, bus, logger: server.logger });
    await eventually(() => source.rows.length === 0, { what: "the next start to move it" });
    await next.stop();
  });

  test("given a crash between acknowledgement and removal, when the batch is published again, then the stream has each once", async () => {
    const source = new MemoryOutbox();
    source.commit(...names("twice", 5));
    await expect(
      source.process(10, async (rows) => {
        await bus.publishRaw(rows);
        throw new Error("the database connection broke before the commit");
      }),
    ).rejects.toThrow("before the commit");
    const relay = await startOutboxRelay({ source, bus, logger: server.logger });
    await eventually(() => source.rows.length === 0, { what: "the second try" });
    expect(await storedIds("twice")).toEqual(names("twice", 5));
    await relay.stop();
  });

  test("given NATS killed between commit and publish, when it comes back, then nothing is lost and nothing is doubled", async () => {
    const source = new MemoryOutbox();
    const logger = recordingLogger();
    const published = gate();
    // The first batch of the crash waits until the server is dead, so that the kill is surely between commit and publish.
    let held: Promise<void> = Promise.resolve();
    const relay = await startOutboxRelay({
      source,
      bus: {
        publishRaw: async (rows) => {
          await held;
          await bus.publishRaw(rows);
        },
      },
      logger,
      batchMax: 10,
      pollMs: 50,
    });
    source.commit(...names("crash", 10));
    await eventually(() => source.rows.length === 0, { what: "the rows before the crash" });
    held = published.opened;
    source.commit(...names("crash", 30).slice(10));
    await server.nats.kill();
    published.open();
    source.commit("crash-while-down");
    await eventually(() => logger.lines.some((line) => line.event === "bus.outbox.failed"), {
      what: "a failed try",
      timeoutMs: 10_000,
    });
    expect(source.rows).toHaveLength(21);
    await server.nats.restart();
    await eventually(() => source.rows.length === 0, {
      what: "the outbox to be empty after the restart",
      timeoutMs: 20_000,
    });
    expect((await storedIds("crash")).sort()).toEqual([...names("crash", 30), "crash-while-down"].sort());
    await relay.stop();
  });
});
