import { defineSignal } from "@codex/contracts";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import type { Bus } from "../src/index.ts";
import { startTestBus, type TestBus } from "./_util.ts";

const amount = z.codec(z.string().regex(/^\d{1,19}$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
});
const rang = defineSignal({
  pattern: "sig.test.rang.v1.{doorId}",
  description: "For tests.",
  data: z.strictObject({ doorId: z.string(), times: amount }),
});

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("signals");
  await bus.ensureTopology();
});

afterAll(() => server.stop());

test("given several listeners, when a signal is sent, then each hears it, parsed; one that stopped does not", async () => {
  const heard: [string, bigint][] = [];
  const other = await server.connect("listener");
  const first = await bus.onSignal(rang, ({ times }) => heard.push(["first", times]));
  const second = await other.onSignal(rang, ({ times }) => heard.push(["second", times]));
  bus.signal(rang, { params: { doorId: "a" }, data: { doorId: "a", times: 2n } });
  await eventually(() => heard.length === 2, { what: "both to hear" });
  expect(heard.toSorted()).toEqual([
    ["first", 2n],
    ["second", 2n],
  ]);
  first.stop();
  bus.signal(rang, { params: { doorId: "b" }, data: { doorId: "b", times: 3n } });
  await eventually(() => heard.length === 3, { what: "the other to hear" });
  await bus.ping();
  expect(heard[2]).toEqual(["second", 3n]);
  second.stop();
});

test("given data or parameters that the contract forbids, when a signal is sent, then it is refused; a received one is dropped and told", async () => {
  const heard: unknown[] = [];
  const listening = await bus.onSignal(rang, (data) => heard.push(data));
  // @ts-expect-error -- an amount is a bigint in code
  expect(() => bus.signal(rang, { params: { doorId: "a" }, data: { doorId: "a", times: 2 } })).toThrow();
  expect(() => bus.signal(rang, { params: { doorId: "a.b" }, data: { doorId: "a", times: 2n } })).toThrow("NATS token");
  bus.connection.publish("sig.test.rang.v1.x", "no JSON");
  bus.connection.publish("sig.test.rang.v1.x", JSON.stringify({ doorId: "x", times: -1 }));
  bus.signal(rang, { params: { doorId: "x" }, data: { doorId: "x", times: 1n } });
  await eventually(() => heard.length > 0, { what: "the good one" });
  expect(heard).toEqual([{ doorId: "x", times: 1n }]);
  expect(server.logger.lines.filter(({ event }) => event === "bus.signal_unreadable")).toHaveLength(2);
  listening.stop();
});

test("given a stream, then its end and its incarnation can be asked for; made anew, it is another one", async () => {
  const before = await bus.streamState("EVENTS");
  expect(before.lastSeq).toBe(0);
  const manager = await import("@nats-io/jetstream").then(({ jetstreamManager }) => jetstreamManager(bus.connection));
  await manager.streams.delete("EVENTS");
  await expect(bus.streamState("EVENTS")).rejects.toMatchObject({ kind: "unavailable" });
  await bus.ensureTopology();
  const after = await bus.streamState("EVENTS");
  expect(after.created.getTime()).toBeGreaterThan(before.created.getTime());
});
