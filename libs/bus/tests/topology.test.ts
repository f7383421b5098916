import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { allKvs, streams } from "@codex/contracts";
import { jetstreamManager, RetentionPolicy, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream";
import { TopologyDrift, type Bus } from "../src/index.ts";
import { startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;
let jsm: JetStreamManager;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("topology");
  jsm = await jetstreamManager(bus.connection);
});

afterAll(() => server.stop());

const configs = async (): Promise<Map<string, StreamConfig>> => {
  const found = new Map<string, StreamConfig>();
  for await (const { config } of jsm.streams.list()) found.set(config.name, config);
  return found;
};

beforeEach(async () => {
  for (const name of (await configs()).keys()) await jsm.streams.delete(name);
});

describe("ensureTopology", () => {
  test("given an empty server, when run, then every stream and bucket of the contracts is there as declared", async () => {
    await bus.ensureTopology();
    const found = await configs();
    expect([...found.keys()].sort()).toEqual(
      [...Object.keys(streams), ...allKvs.map((kv) => `KV_${kv.bucket}`)].sort(),
    );
    expect(found.get("USAGE")).toMatchObject({
      subjects: ["usage.v1.*"],
      retention: "limits",
      storage: "file",
      discard: "new",
      max_msgs: 2_000_000,
      // A byte limit would make servers before 2.10.5 delete the oldest in silence.
      max_bytes: -1,
      max_age: 0,
      max_msg_size: 262_144,
      duplicate_window: 600_000_000_000,
      deny_delete: true,
    });
    expect(found.get("KV_key_revocations")).toMatchObject({
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      discard: "new",
    });
  });

  test("given the topology, when run again and by five at once, then nothing changes and nobody fails", async () => {
    await bus.ensureTopology();
    const before = await configs();
    await bus.ensureTopology();
    expect(await configs()).toEqual(before);
    for (const name of before.keys()) await jsm.streams.delete(name);
    await Promise.all(Array.from({ length: 5 }, () => bus.ensureTopology()));
    expect(await configs()).toEqual(before);
    expect(server.logger.lines.filter((line) => line.event === "bus.topology.updated")).toEqual([]);
  });

  test("given a stream with a smaller limit, when run, then it is widened and its messages stay", async () => {
    await jsm.streams.add({
      name: "EVENTS",
      subjects: ["evt.>"],
      max_msgs: 10,
      max_msg_size: 1_000,
      deny_delete: false,
      duplicate_window: 120_000_000_000,
      max_age: 1_000_000_000_000,
    });
    await bus.publishRaw([{ eventId: "kept", subject: "evt.kept", payload: "{}", headers: {} }]);
    await bus.ensureTopology();
    const info = await jsm.streams.info("EVENTS");
    expect(info.config.max_msgs).toBe(streams.EVENTS.maxMessages);
    expect(info.state.messages).toBe(1);
    expect(server.logger.lines).toContainEqual(
      expect.objectContaining({ event: "bus.topology.updated", stream: "EVENTS" }),
    );
  });

  test.each<[string, Partial<StreamConfig>, string]>([
    ["a retention that deletes on acknowledgement", { retention: RetentionPolicy.Workqueue }, "retention"],
    ["a larger limit than declared", { max_msgs: 3_000_000 }, "max_msgs"],
    ["no limit where one is declared", { max_msgs: -1 }, "max_msgs"],
    ["one more subject", { subjects: ["usage.v1.*", "usage.v0.*"] }, "subjects"],
    ["eviction of the oldest", { discard: "old" }, "discard"],
  ])("given a stream with %s, when run, then it refuses and names the field", async (_name, change, field) => {
    await jsm.streams.add({
      name: "USAGE",
      subjects: ["usage.v1.*"],
      discard: "new",
      max_msgs: 2_000_000,
      max_msg_size: 262_144,
      duplicate_window: 600_000_000_000,
      deny_delete: true,
      ...change,
    });
    const thrown: unknown = await bus.ensureTopology().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(TopologyDrift);
    expect((thrown as TopologyDrift).drifts).toEqual([expect.objectContaining({ stream: "USAGE", field })]);
    expect((thrown as Error).message).toContain(`USAGE.${field}`);
    // Refused means untouched.
    expect((await jsm.streams.info("USAGE")).config).toMatchObject(change);
  });
});
