import type { Channel } from "@codex/contracts";
import { idToUuid, newId, sealSecret, uuidToId } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { openDb } from "@codex/db";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { gatewaySchema } from "../src/index.ts";
import { canBePublished } from "../src/app/manage-channels.ts";
import { channelStore } from "../src/store/channel-store.ts";
import type { GatewayTables } from "../src/store/schema.ts";
import { asOperator, channelBody, chat, send, startWorld, type World } from "./_world.ts";

// The master key's change, and channels of the version before.

const masterKey = "d1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
const nextMasterKey = "Zq8w-Lm3_Xc7vB1nR5tY9uI2oP4aS6dF0gH";
const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  world = await startWorld({}, [], ["legacy"]);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function db() {
  return openDb<GatewayTables>({
    url: world.database.urlFor("app", gatewaySchema),
    schema: gatewaySchema,
    applicationName: "test",
  });
}

test("given a gateway of the version before creates a channel, then it is served here within a round, and its key is read", async () => {
  const id = randomUUID();
  const channelId = uuidToId("chn", id);
  const key = createHash("sha256").update(masterKey).digest();
  const sealed = sealSecret("sk-demo-upstream-4711", key, `channel:${channelId}`);
  const database = db();
  const old = database.kysely as unknown as {
    insertInto(table: "channel"): {
      values(row: unknown): { execute(): Promise<unknown> };
    };
  };
  // Its own two statements.
  await old
    .insertInto("channel")
    .values({
      id,
      name: "of the version before",
      kind: "openai",
      base_url: `${world.upstream.url}/v1/`,
      sealed_secret: sealed,
      models: JSON.stringify({ legacy: "demo-small" }),
      priority: 3,
      enabled: true,
    })
    .execute();
  const { version } = await database.kysely.selectFrom("channel_version").select("version").executeTakeFirstOrThrow();
  await database.kysely
    .updateTable("channel_version")
    .set({ version: version + 1n })
    .execute();
  await database.close();
  const { apiKey } = world.customer(10n ** 12n);
  await eventually(async () => (await chat(world.gateway, apiKey, { model: "legacy" })).status === 200, {
    timeoutMs: 12_000,
    what: "the channel to be served",
  });
  const listed = await send(world.gateway, "GET", `/api/gateway/channels/${channelId}`, {
    headers: asOperator(world.auth),
  });
  expect(listed.body["channel"]).toMatchObject({
    kind: "openai-compatible",
    egress: "private",
    priority: 3,
    baseUrl: `${world.upstream.url}/v1`,
    keys: [{ label: "default", keyVersion: 0 }],
  });
}, 30_000);

test("given the master key changes, then keys of both versions work until the re-wrap, and after it the old one is needed no more", async () => {
  const { apiKey } = world.customer(10n ** 12n);
  const rotating = { GATEWAY_CHANNEL_KEY: nextMasterKey, GATEWAY_CHANNEL_KEY_VERSION: "2" };
  const both = await world.startGateway({ ...rotating, GATEWAY_CHANNEL_KEY_PREVIOUS: masterKey });
  expect((await chat(both, apiKey)).status).toBe(200);
  const tooEarly = await world.startGateway(rotating);
  expect((await chat(tooEarly, apiKey)).status).toBe(503);
  const operator = { headers: asOperator(world.auth) };
  // Who lacks the old key can re-wrap nothing, and changes nothing.
  expect((await send(tooEarly, "POST", "/api/gateway/channel-keys/rewrap", operator)).status).toBe(500);
  expect((await chat(both, apiKey)).status).toBe(200);
  const database = db();
  const secretsBefore = await database.kysely
    .selectFrom("upstream_key")
    .select(["id", "sealed_secret"])
    .where("key_version", "=", 1)
    .execute();
  const rewrapped = await send(both, "POST", "/api/gateway/channel-keys/rewrap", operator);
  expect(rewrapped.body).toMatchObject({ keyVersion: 2 });
  expect(rewrapped.body["rewrapped"]).toBe(rewrapped.body["current"]);
  const rows = await database.kysely.selectFrom("upstream_key").selectAll().execute();
  await database.close();
  expect(rows.every(({ key_version: version, wrapped_key: wrapped }) => version === 2 && wrapped !== null)).toBe(true);
  for (const { id, sealed_secret: sealed } of secretsBefore) {
    expect(rows.find((row) => row.id === id)?.sealed_secret).toBe(sealed);
  }
  // Live at the one that could not open them before.
  await eventually(async () => (await chat(tooEarly, apiKey)).status === 200, { what: "the re-wrapped keys" });
  expect((await chat(both, apiKey, { model: "legacy" })).status).toBe(200);
  const again = await send(both, "POST", "/api/gateway/channel-keys/rewrap", operator);
  expect(again.body["rewrapped"]).toBe(0);
}, 40_000);

test("given an envelope is moved to another channel's row, then that channel works without the key; it is never sent", async () => {
  const gateway = await world.startGateway({ GATEWAY_CHANNEL_KEY: nextMasterKey, GATEWAY_CHANNEL_KEY_VERSION: "2" });
  const made = await send(gateway, "POST", "/api/gateway/channels", {
    headers: asOperator(world.auth),
    body: channelBody("thief", world.upstream, ["demo-length-11"]),
  });
  const thief = made.body["channel"] as Channel;
  const database = db();
  const { kysely } = database;
  const stolen = await kysely
    .selectFrom("upstream_key")
    .selectAll()
    .where("label", "=", "default")
    .executeTakeFirstOrThrow();
  await kysely
    .updateTable("upstream_key")
    .set({ sealed_secret: stolen.sealed_secret, wrapped_key: stolen.wrapped_key })
    .where("id", "=", idToUuid(thief.keys[0]?.keyId ?? newId("upk")))
    .execute();
  await kysely
    .updateTable("channel_version")
    .set((row) => ({ version: row("version", "+", 1n) }))
    .execute();
  await database.close();
  const { apiKey } = world.customer(10n ** 12n);
  await eventually(async () => (await chat(gateway, apiKey, { model: "demo-length-11" })).status === 503, {
    timeoutMs: 12_000,
    what: "the moved envelope not to open",
  });
}, 30_000);

test("given all channels together would be more than workers can be told, then a change that adds is refused whole, and one that takes away is not", async () => {
  const database = db();
  const full = channelStore(database, () => false);
  const before = await full.all();
  const act = { actorId: null, act: "channel.created", change: {} };
  const { channelId, keys } = before.channels.find(({ name }) => name === "thief") ?? before.channels[0]!;
  const draft = { ...before.channels[0]!, channelId: newId("chn"), name: "one more", key: null };
  expect(await full.create(draft, act)).toEqual({ ok: false, refusal: "too_large" });
  expect(await full.all()).toEqual(before);
  expect(await full.removeKey(channelId, keys[0]!.keyId, act)).toMatchObject({ ok: true });
  await database.close();
  const random = (): string => randomBytes(48).toString("base64url");
  const models = Object.fromEntries(Array.from({ length: 2_000 }, () => [random(), random()]));
  expect(canBePublished({ version: 1, channels: [{ ...draft, models, keys: [] }] })).toBe(true);
  const distinct = Array.from({ length: 8 }, () => ({
    ...draft,
    keys: [],
    models: Object.fromEntries(Array.from({ length: 2_000 }, () => [random(), random()])),
  }));
  expect(canBePublished({ version: 1, channels: distinct })).toBe(false);
}, 20_000);
