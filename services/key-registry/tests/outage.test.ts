import { keyChanged, keyCreated, keyResolve, keyRevocations } from "@codex/contracts";
import { hashApiKey, newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { watchEvents, type Harness } from "../../auth/tests/_harness.ts";
import { startKeyRegistry } from "./_util.ts";

let world: Harness;
let cookie: string;

beforeAll(async () => {
  world = await startKeyRegistry();
  cookie = await world.auth.signIn(newId("acc"));
});
afterAll(() => world.stop());

async function revokedKey(): Promise<string> {
  const created = await world.send("POST", "/api/keys", { cookie, body: { name: "to be revoked" } });
  const { key, secret } = keyCreated.parse(created.body);
  const revoked = await world.send("POST", `/api/keys/${key.keyId}/revoke`, { cookie });
  expect(revoked.status).toBe(200);
  return hashApiKey(secret);
}

const stream = `KV_${keyRevocations.bucket}`;

/** Asks the stream itself, because opening the bucket through the bus would make it again. */
async function jetStream(call: "PURGE" | "DELETE"): Promise<void> {
  const reply = await world.bus.connection.request(`$JS.API.STREAM.${call}.${stream}`, "", { timeout: 2_000 });
  expect(reply.json()).toMatchObject({ success: true });
}

async function storedTombstones(): Promise<number> {
  const reply = await world.bus.connection.request(`$JS.API.STREAM.INFO.${stream}`, "", { timeout: 2_000 });
  return reply.json<{ state: { messages: number } }>().state.messages;
}

describe("tombstones", () => {
  test("given a purged bucket, when a process starts, then every revocation is in it again", async () => {
    const hashes = [await revokedKey(), await revokedKey(), await revokedKey()];
    await jetStream("PURGE");
    expect(await storedTombstones()).toBe(0);
    const replica = await world.startReplica();
    await eventually(async () => (await storedTombstones()) === hashes.length, { what: "the tombstones" });
    const bucket = await world.bus.kv(keyRevocations);
    for (const hash of hashes) expect((await bucket.get(hash))?.value.version).toBe(2);
    await replica.stop();
  });

  test("given a bucket that is deleted under a running process, when it looks again, then bucket and tombstones are back", async () => {
    const replica = await world.startReplica({ KEY_REPAIR_INTERVAL_MS: "50" });
    const hash = await revokedKey();
    await jetStream("DELETE");
    await eventually(async () => (await storedTombstones()) >= 1, { what: "the tombstones" });
    const bucket = await world.bus.kv(keyRevocations);
    await eventually(async () => (await bucket.get(hash)) !== null, { what: "this tombstone" });
    await replica.stop();
    expect(replica.closedOrder.indexOf("tombstone repair")).toBeLessThan(replica.closedOrder.indexOf("bus"));
  });

  test("200: given a bucket that is away, when a key is revoked, then it is revoked in the row, and by event", async () => {
    const events = await watchEvents(world.bus, keyChanged);
    await jetStream("DELETE");
    const hash = await revokedKey();
    expect(await world.bus.call(keyResolve, { keyHash: hash })).toMatchObject({ value: { status: "revoked" } });
    const announced = () => events.some(({ data }) => data.keyHash === hash && data.status === "revoked");
    await eventually(announced, { what: "the event of the revocation" });
  }, 30_000);
});

describe("NATS", () => {
  test("given NATS down while a key is made in the database, when it is back, then its event arrives exactly once", async () => {
    const events = await watchEvents(world.bus, keyChanged);
    await revokedKey();
    await eventually(() => events.length > 0, { what: "the stream to be read" });
    await world.nats.kill();
    const keyId = newId("key");
    const payload = JSON.stringify({
      specversion: "1.0",
      id: newId("evt"),
      source: "key-registry",
      type: "key.changed.v1",
      time: new Date().toISOString(),
      data: { keyId, accountId: newId("acc"), keyHash: "a".repeat(64), status: "active", version: 1 },
    });
    await world.query("insert into outbox (event_id, subject, payload) values ($1, $2, $3)", [
      newId("evt"),
      `evt.key.changed.v1.${keyId}`,
      payload,
    ]);
    await world.nats.restart();
    const mine = () => events.filter(({ data }) => data.keyId === keyId);
    await eventually(() => mine().length > 0, { what: "the event after the outage", timeoutMs: 20_000 });
    await eventually(async () => (await world.query("select 1 from outbox")).length === 0, { what: "an empty outbox" });
    expect(mine()).toHaveLength(1);
  }, 40_000);

  test("503: given auth away, when keys are asked for, then the answer says to try again, and no key is made", async () => {
    await world.auth.stop();
    const before = await world.query("select count(*) from api_key");
    for (const [method, body] of [
      ["GET", undefined],
      ["POST", { name: "a" }],
    ] as const) {
      const answer = await world.send(method, "/api/keys", { cookie, body });
      expect(answer).toMatchObject({ status: 503, body: { code: "service_unavailable" } });
    }
    expect(await world.query("select count(*) from api_key")).toEqual(before);
  });
});
