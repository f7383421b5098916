import {
  keyChanged,
  keyCreated,
  keyList,
  keyResolve,
  keyResponse,
  keyRevocations,
  keyRolled,
  keyUsesReport,
} from "@codex/contracts";
import { checkApiKey, hashApiKey, idToUuid, newId, type AccountId, type KeyId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { comparable, watchEvents, type Answer, type Harness, type SeenEvent } from "../../auth/tests/_harness.ts";
import { startKeyRegistry } from "./_util.ts";

/** The life of a key: what it is called, how long it lasts, what takes its place, who used it, and the end of many. */

let world: Harness;
let events: readonly SeenEvent<{ keyId: KeyId; status: string; version: number }>[];
let accountId: AccountId;
let cookie: string;

beforeAll(async () => {
  world = await startKeyRegistry();
  events = await watchEvents(world.bus, keyChanged);
  accountId = newId("acc");
  cookie = await world.auth.signInAt(accountId, new Date());
});
afterAll(() => world.stop());

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();

async function create(body: object = {}, of: string = cookie) {
  const answer = await world.send("POST", "/api/keys", { cookie: of, body: { name: "a key", ...body } });
  if (answer.status !== 201) throw new Error(`no key: ${answer.text}`);
  return keyCreated.parse(answer.body);
}
const roll = (keyId: string, overlapSeconds: number, of: string = cookie): Promise<Answer> =>
  world.send("POST", `/api/keys/${keyId}/roll`, { cookie: of, body: { overlapSeconds } });
const resolved = async (secret: string) => {
  const answer = await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) });
  return answer.ok ? answer.value : undefined;
};
async function listed(keyId: KeyId, of: string = cookie) {
  const { keys } = keyList.parse((await world.send("GET", "/api/keys", { cookie: of })).body);
  return keys.find((key) => key.keyId === keyId);
}

describe("names, tags and environments", () => {
  test("201: given none, then a key is live and has no tags; given some, then the key says its environment itself", async () => {
    const plain = await create();
    expect(plain.key).toMatchObject({ environment: "live", tags: [], expiresAt: null, lastUsedAt: null });
    const { key, secret } = await create({ environment: "test", tags: ["ci", " nightly ", "ci"] });
    expect(key).toMatchObject({ environment: "test", tags: ["ci", "nightly"], prefix: secret.slice(0, 12) });
    expect(checkApiKey(secret)).toEqual({ brand: "cx", environment: "test" });
    expect(await listed(key.keyId)).toEqual(key);
  });

  test("200: given another name and other tags, then the key has them, and its rights are the same", async () => {
    const { key, secret } = await create({ models: ["m"] });
    const body = { name: " laptop ", tags: ["home"] };
    const changed = await world.send("PATCH", `/api/keys/${key.keyId}`, { cookie, body });
    expect(keyResponse.parse(changed.body).key).toMatchObject({ name: "laptop", tags: ["home"], models: ["m"] });
    expect(await resolved(secret)).toMatchObject({ models: ["m"], status: "active" });
  });

  test.each([
    ["another environment", { environment: "staging" }],
    ["an end that is over", { expiresAt: "2020-01-01T00:00:00.000Z" }],
  ])("400: given %s, then no key is made", async (_what, body) => {
    const answer = await world.send("POST", "/api/keys", { cookie, body: { name: "a", ...body } });
    expect(answer).toMatchObject({ status: 400, body: { code: "invalid_request" } });
  });
});

describe("SEC-38 the end of a key", () => {
  test("given an end, then gateways are told it, and it can be moved and lifted", async () => {
    const expiresAt = inDays(30);
    const { key, secret } = await create({ expiresAt });
    expect(key.expiresAt).toBe(expiresAt);
    expect(await resolved(secret)).toMatchObject({ version: 1, expiresAt });
    const later = inDays(60);
    await world.send("PATCH", `/api/keys/${key.keyId}`, { cookie, body: { expiresAt: later } });
    expect(await resolved(secret)).toMatchObject({ version: 2, expiresAt: later });
    await world.send("PATCH", `/api/keys/${key.keyId}`, { cookie, body: { expiresAt: null } });
    expect(await resolved(secret)).toMatchObject({ version: 3, expiresAt: null });
  });
});

describe("POST /api/keys/:keyId/roll", () => {
  test("201: given an overlap, then a new key with the same settings works beside the old one, which ends when it was asked to", async () => {
    const settings = { tags: ["prod"], models: ["m"], allowedIps: ["10.0.0.0/8"], environment: "test" };
    const old = await create(settings);
    const before = Date.now();
    const answer = await roll(old.key.keyId, 3_600);
    expect(answer.status).toBe(201);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { key, secret, previous } = keyRolled.parse(answer.body);
    expect(key).toMatchObject({ name: "a key", ...settings, expiresAt: null, replacedBy: null });
    expect(previous).toMatchObject({ keyId: old.key.keyId, status: "active", replacedBy: key.keyId });
    const endsInMs = Date.parse(previous.expiresAt ?? "") - before;
    expect(endsInMs).toBeGreaterThanOrEqual(3_600_000);
    expect(endsInMs).toBeLessThan(3_600_000 + 60_000);
    expect(await resolved(secret)).toMatchObject({ keyId: key.keyId, accountId, models: ["m"] });
    expect(await resolved(old.secret)).toMatchObject({ status: "active", expiresAt: previous.expiresAt, version: 2 });
    await eventually(() => events.some(({ data }) => data.keyId === old.key.keyId && data.version === 2), {
      what: "the event of the old key",
    });
  });

  test("201: given no overlap, then the old key is revoked at once, in row and bucket", async () => {
    const old = await create();
    const { previous } = keyRolled.parse((await roll(old.key.keyId, 0)).body);
    expect(previous).toMatchObject({ status: "revoked", revokedAt: expect.any(String) });
    expect(await resolved(old.secret)).toMatchObject({ status: "revoked", version: 2 });
    const bucket = await world.bus.kv(keyRevocations);
    expect((await bucket.get(hashApiKey(old.secret)))?.value).toMatchObject({ version: 2 });
  });

  test("201: given an end that comes before the overlap's, then it stays, and goes on to the new key", async () => {
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    const old = await create({ expiresAt });
    const { key, previous } = keyRolled.parse((await roll(old.key.keyId, 86_400)).body);
    expect([key.expiresAt, previous.expiresAt]).toEqual([expiresAt, expiresAt]);
  });

  test("409: given the same key ten times at once, then one new key is made; a rolled key is not changed any more", async () => {
    const own = await world.auth.signInAt(newId("acc"), new Date());
    const { key } = await create({}, own);
    const answers = await Promise.all(Array.from({ length: 10 }, () => roll(key.keyId, 60, own)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
    const { keys } = keyList.parse((await world.send("GET", "/api/keys", { cookie: own })).body);
    expect(keys).toHaveLength(2);
    const body = { expiresAt: null };
    expect((await world.send("PATCH", `/api/keys/${key.keyId}`, { cookie: own, body })).status).toBe(404);
  });

  test("400: given an overlap of more than a day, or none named, then nothing is made", async () => {
    const { key } = await create();
    for (const body of [{ overlapSeconds: 86_401 }, { overlapSeconds: -1 }, { overlapSeconds: 1.5 }, {}])
      expect((await world.send("POST", `/api/keys/${key.keyId}/roll`, { cookie, body })).status).toBe(400);
    expect(await listed(key.keyId)).toMatchObject({ replacedBy: null });
  });

  test("SEC-24 401 reauth_required: given a sign-in of more than five minutes ago, then nothing is rolled", async () => {
    const { key } = await create();
    const long = await world.auth.signInAt(accountId, new Date(Date.now() - 301_000));
    expect(await roll(key.keyId, 0, long)).toMatchObject({ status: 401, body: { code: "reauth_required" } });
    expect(await listed(key.keyId)).toMatchObject({ status: "active", replacedBy: null });
  });

  test("404: given another's key, a missing and a revoked one, then the answers are equal in every byte", async () => {
    const foreign = await create({}, await world.auth.signIn(newId("acc")));
    const revoked = await create();
    await world.send("POST", `/api/keys/${revoked.key.keyId}/revoke`, { cookie });
    const answers = [await roll(foreign.key.keyId, 0), await roll(newId("key"), 0), await roll(revoked.key.keyId, 0)];
    expect(answers[0]).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(new Set(answers.map((answer) => JSON.stringify(comparable(answer)))).size).toBe(1);
  });
});

describe("POST /api/keys/revoke", () => {
  const revoke = (keyIds: readonly string[], of: string = cookie): Promise<Answer> =>
    world.send("POST", "/api/keys/revoke", { cookie: of, body: { keyIds } });

  test("200: given many, of which one is another's and one missing, then the account's own are revoked, in rows and bucket", async () => {
    const own = [await create(), await create(), await create()];
    const foreign = await create({}, await world.auth.signIn(newId("acc")));
    const ids = [...own.map(({ key }) => key.keyId), foreign.key.keyId, newId("key"), own[0]?.key.keyId ?? ""];
    const answer = await revoke(ids);
    expect(answer.status).toBe(200);
    const { keys } = keyList.parse(answer.body);
    expect(keys.map(({ keyId, status }) => [keyId, status]).toSorted()).toEqual(
      own.map(({ key }) => [key.keyId, "revoked"]).toSorted(),
    );
    const bucket = await world.bus.kv(keyRevocations);
    for (const { secret } of own) {
      expect(await resolved(secret)).toMatchObject({ status: "revoked" });
      expect(await bucket.get(hashApiKey(secret))).not.toBeNull();
    }
    expect(await resolved(foreign.secret)).toMatchObject({ status: "active", version: 1 });
    // Idempotent: the same again says the same and changes nothing.
    expect((await revoke(ids)).text).toBe(answer.text);
  });

  test("400: given none, too many, or what is no id, then nothing is revoked", async () => {
    const { key, secret } = await create();
    const tooMany = [key.keyId, ...Array.from({ length: 100 }, () => newId("key"))];
    for (const ids of [[], tooMany, [key.keyId, "nonsense"]]) expect((await revoke(ids)).status).toBe(400);
    expect(await resolved(secret)).toMatchObject({ status: "active" });
  });
});

describe("SEC-38 the last use", () => {
  const hour = (ago: number): string =>
    new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - ago * 3_600_000).toISOString();

  test("given reports in any order, then the latest hour and its client are kept, no version grows, and no event is sent", async () => {
    const { key, secret } = await create();
    const report = (ago: number, client: "curl" | "codex") =>
      world.bus.call(keyUsesReport, { uses: [{ keyId: key.keyId, hour: hour(ago), client }] });
    await report(2, "curl");
    await report(0, "codex");
    await report(1, "curl");
    await report(0, "curl");
    expect(await listed(key.keyId)).toMatchObject({ lastUsedAt: hour(0), lastUsedClient: "codex" });
    expect(await resolved(secret)).toMatchObject({ version: 1 });
    const rows = await world.query("select version from api_key where id = $1", [idToUuid(key.keyId)]);
    expect(rows).toEqual([{ version: 1 }]);
  });

  test("given a key that is not there and an hour that is yet to come, then nothing changes and the rest is kept", async () => {
    const { key } = await create();
    const used = { keyId: key.keyId, client: "curl" as const };
    await world.bus.call(keyUsesReport, {
      uses: [
        { ...used, keyId: newId("key"), hour: hour(0) },
        { ...used, hour: hour(-5) },
      ],
    });
    expect(await listed(key.keyId)).toMatchObject({ lastUsedAt: null });
    await world.bus.call(keyUsesReport, { uses: [{ ...used, hour: hour(3) }] });
    expect(await listed(key.keyId)).toMatchObject({ lastUsedAt: hour(3) });
  });
});
