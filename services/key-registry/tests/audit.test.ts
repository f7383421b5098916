import {
  auditLineList,
  keyCreated,
  keyReport,
  keyReported,
  keyResolve,
  keyRevocations,
  keyRolled,
  ownAuditLineList,
} from "@codex/contracts";
import { verifyActs, openDb } from "@codex/db";
import { generateApiKey, hashApiKey, newId, type AccountId, type KeyId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { watchEvents, type Answer, type Harness, type SeenEvent } from "../../auth/tests/_harness.ts";
import { keysSchema } from "../src/index.ts";
import { startKeyRegistry } from "./_util.ts";

// SEC-147: what is done with keys is written down; SEC-39: a key that is known to others is revoked.

let world: Harness;
let admin: string;
let reports: readonly SeenEvent<{ keyId: KeyId; accountId: AccountId; prefix: string; foundAt: string | null }>[];

beforeAll(async () => {
  world = await startKeyRegistry();
  reports = await watchEvents(world.bus, keyReported);
  admin = await world.auth.signIn(newId("acc"), "admin");
});
afterAll(() => world.stop());

async function owner() {
  const accountId = newId("acc");
  return { accountId, cookie: await world.auth.signInAt(accountId, new Date()) };
}
async function create(cookie: string, body: object = {}) {
  const answer = await world.send("POST", "/api/keys", { cookie, body: { name: "anna's laptop", ...body } });
  return keyCreated.parse(answer.body);
}
const post = (cookie: string, path: string, body?: object): Promise<Answer> =>
  world.send("POST", `/api/keys/${path}`, { cookie, ...(body === undefined ? {} : { body }) });
const search = async (query: string) =>
  auditLineList.parse((await world.send("GET", `/api/keys/operator/audit?${query}`, { cookie: admin })).body);
const own = async (cookie: string, query = "") =>
  ownAuditLineList.parse((await world.send("GET", `/api/keys/audit${query}`, { cookie })).body);

describe("SEC-147 the audit log of keys", () => {
  test("given a key's whole life, when its owner and an operator read the log, then each act is there once, with settings and without secrets or the owner's own words", async () => {
    const { accountId, cookie } = await owner();
    const { key, secret } = await create(cookie, {
      environment: "test",
      tags: ["private project"],
      models: ["model-a", "model-b"],
      allowedIps: ["203.0.113.7"],
      caps: { daily: "1.500000", monthly: null, total: null },
    });
    const path = `/api/keys/${key.keyId}`;
    const limits = { requestsPerMinute: 5, tokensPerMinute: null, concurrentRequests: null };
    await world.send("PATCH", path, { cookie, body: { limits, name: "bob's" } });
    // The same once more changes nothing, and is no act.
    await world.send("PATCH", path, { cookie, body: { limits, name: "bob's" } });
    const rolled = keyRolled.parse((await post(cookie, `${key.keyId}/roll`, { overlapSeconds: 0 })).body);
    const successor = rolled.key.keyId;
    await post(cookie, `${successor}/revoke`);
    await post(cookie, `${successor}/revoke`);
    await post(cookie, "revoke", { keyIds: [successor, key.keyId, newId("key")] });

    const { lines } = await search(`accountId=${accountId}`);
    expect(lines.map(({ action, target, details }) => [action, target, details])).toEqual([
      ["key_revoked", successor, {}],
      ["key_rolled", key.keyId, { successor, end: "at once" }],
      ["key_changed", key.keyId, { name: "set", limits }],
      [
        "key_created",
        key.keyId,
        {
          environment: "test",
          models: 2,
          allowedIps: 1,
          capsMicroTokens: { daily: "1500000", monthly: null, total: null },
        },
      ],
    ]);
    expect(new Set(lines.map(({ actorId }) => actorId))).toEqual(new Set([accountId]));
    const seen = await own(cookie);
    expect(seen.lines.map(({ action, by }) => [action, by])).toEqual(lines.map(({ action }) => [action, "you"]));
    const text = JSON.stringify([lines, seen]);
    for (const word of [secret, secret.slice(12), "anna", "bob", "private project", "203.0.113.7"])
      expect(text).not.toContain(word);
  });

  test("given many acts, when an operator searches by action, actor and time, then every condition holds and pages follow each other", async () => {
    const { accountId, cookie } = await owner();
    const keys = await Promise.all([1, 2, 3].map(() => create(cookie)));
    const since = new Date().toISOString();
    await post(cookie, "revoke", { keyIds: keys.map(({ key }) => key.keyId) });
    const about = `accountId=${accountId}`;
    expect((await search(`${about}&action=key_revoked`)).lines).toHaveLength(3);
    expect((await search(`${about}&actorId=${accountId}&since=${since}`)).lines).toHaveLength(3);
    expect((await search(`${about}&until=${since}`)).lines.map(({ action }) => action)).toEqual(
      Array(3).fill("key_created"),
    );
    expect((await search(`${about}&actorId=${newId("acc")}`)).lines).toEqual([]);
    const first = await search(`${about}&limit=4`);
    const rest = await search(`${about}&limit=4&cursor=${first.nextCursor ?? ""}`);
    expect([first.lines.length, rest.lines.length, rest.nextCursor]).toEqual([4, 2, null]);
    expect(new Set([...first.lines, ...rest.lines].map(({ actId }) => actId)).size).toBe(6);
    for (const query of ["cursor=x", "cursor=0"])
      expect((await world.send("GET", `/api/keys/operator/audit?${query}`, { cookie: admin })).body["code"]).toBe(
        "invalid_cursor",
      );
    for (const query of ["since=yesterday", "action=DROP%20TABLE", "limit=201", "more=1"])
      expect((await world.send("GET", `/api/keys/operator/audit?${query}`, { cookie: admin })).status).toBe(400);
  });

  test("401 and 403: given nobody, a customer and operators who may not, then the log is closed; an owner sees the own lines alone", async () => {
    const path = "/api/keys/operator/audit";
    expect((await world.send("GET", path)).status).toBe(401);
    for (const role of ["user", "support", "finance"] as const) {
      const cookie = await world.auth.signIn(newId("acc"), role);
      expect((await world.send("GET", path, { cookie })).status).toBe(403);
    }
    const [anna, bob] = [await owner(), await owner()];
    await create(anna.cookie);
    expect((await own(bob.cookie)).lines).toEqual([]);
    expect(
      (await world.send("GET", `/api/keys/audit?accountId=${anna.accountId}`, { cookie: bob.cookie })).status,
    ).toBe(400);
  });

  test("given all of it at once, then the chain holds", async () => {
    const people = await Promise.all(Array.from({ length: 8 }, () => owner()));
    await Promise.all(people.map(async ({ cookie }) => post(cookie, `${(await create(cookie)).key.keyId}/revoke`)));
    const db = openDb({
      url: world.database.urlFor("app", keysSchema),
      schema: keysSchema,
      applicationName: "test",
    });
    try {
      expect(await verifyActs(db)).toMatchObject({ broken: undefined });
    } finally {
      await db.close();
    }
  });
});

describe("SEC-39 a key that somebody found", () => {
  const report = (secret: string, foundAt: string | null = null) =>
    world.bus.call(keyReport, { keyHash: hashApiKey(secret), via: foundAt === null ? "holder" : "github", foundAt });

  test("given a key, when it is reported many times at once, then it is revoked everywhere, its owner is told once, and the log says why", async () => {
    const { accountId, cookie } = await owner();
    const { key, secret } = await create(cookie);
    const foundAt = "https://github.com/octo/repo/blob/main/.env";
    const answers = await Promise.all(Array.from({ length: 10 }, () => report(secret, foundAt)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set(['{"ok":true,"value":{}}']));
    expect(await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) })).toMatchObject({
      value: { status: "revoked", version: 2 },
    });
    const kv = await world.bus.kv(keyRevocations);
    expect(await kv.get(hashApiKey(secret))).toMatchObject({ value: { keyId: key.keyId } });
    await eventually(() => reports.some(({ data }) => data.keyId === key.keyId), { what: "the event" });
    expect(reports.filter(({ data }) => data.keyId === key.keyId).map(({ data }) => data)).toEqual([
      expect.objectContaining({ accountId, prefix: key.prefix, foundAt }),
    ]);
    const { lines } = await own(cookie, "?action=key_reported");
    expect(lines).toMatchObject([{ by: "service", target: key.keyId, details: { via: "github", foundAt } }]);
  });

  test("given keys that never were and one that is revoked, when they are reported, then the answer is the same, and nothing is written", async () => {
    const { cookie } = await owner();
    const { key, secret } = await create(cookie);
    await post(cookie, `${key.keyId}/revoke`);
    const before = await world.query("select count(*) from audit_act");
    for (const text of [secret, generateApiKey("cx", "live")])
      expect(await report(text)).toEqual({ ok: true, value: {} });
    expect(await world.query("select count(*) from audit_act")).toEqual(before);
    expect(reports.some(({ data }) => data.keyId === key.keyId)).toBe(false);
  });
});
