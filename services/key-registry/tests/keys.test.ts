import {
  keyChanged,
  keyCreated,
  keyList,
  keyResolve,
  keyResolveV1,
  keyResponse,
  keyRevocations,
  problem,
} from "@codex/contracts";
import { checkApiKey, hashApiKey, idToUuid, newId, type AccountId, type KeyId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  comparable,
  recordTraffic,
  watchEvents,
  type Answer,
  type Harness,
  type SeenEvent,
} from "../../auth/tests/_harness.ts";
import { startKeyRegistry } from "./_util.ts";

let world: Harness;
let events: readonly SeenEvent<{ keyId: KeyId; keyHash: string; status: string; version: number }>[];
let traffic: readonly string[];
let accountId: AccountId;
let cookie: string;

beforeAll(async () => {
  world = await startKeyRegistry();
  events = await watchEvents(world.bus, keyChanged);
  traffic = recordTraffic(world.bus);
  accountId = newId("acc");
  cookie = await world.auth.signIn(accountId);
});
afterAll(() => world.stop());

interface Created {
  readonly keyId: KeyId;
  readonly secret: string;
  readonly answer: Answer;
}

async function create(of: string = cookie, name = "a key"): Promise<Created> {
  const answer = await world.send("POST", "/api/keys", { cookie: of, body: { name } });
  if (answer.status !== 201) throw new Error(`no key: ${answer.text}`);
  const { key, secret } = keyCreated.parse(answer.body);
  return { keyId: key.keyId, secret, answer };
}

const revoke = (keyId: string, of: string = cookie): Promise<Answer> =>
  world.send("POST", `/api/keys/${keyId}/revoke`, { cookie: of });
const eventsOf = (keyId: KeyId) => events.filter(({ data }) => data.keyId === keyId).map(({ data }) => data);

describe("POST /api/keys", () => {
  test("201: given a session, when a key is made, then the answer alone holds the secret, the row its hash and prefix", async () => {
    const { keyId, secret, answer } = await create(cookie, "  laptop ");
    expect(checkApiKey(secret)).toEqual({ brand: "cx", environment: "live" });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.body).toMatchObject({ key: { name: "laptop", status: "active", revokedAt: null } });
    const rows = await world.query(
      "select account_id, name, display_prefix, encode(hash, 'hex') as hash, status, version from api_key where id = $1",
      [idToUuid(keyId)],
    );
    expect(rows).toEqual([
      {
        account_id: idToUuid(accountId),
        name: "laptop",
        display_prefix: secret.slice(0, 12),
        hash: hashApiKey(secret),
        status: "active",
        version: 1,
      },
    ]);
    await eventually(() => eventsOf(keyId).length > 0, { what: "the key's event" });
    expect(eventsOf(keyId)).toEqual([{ keyId, accountId, keyHash: hashApiKey(secret), status: "active", version: 1 }]);
  });

  test.each([
    ["no name", {}],
    ["an empty name", { name: "  " }],
    ["a name of 101 letters", { name: "x".repeat(101) }],
    ["a field that is not declared", { name: "a", accountId: newId("acc") }],
    ["a name of another type", { name: 7 }],
  ])("400: given %s, when a key is made, then it is refused", async (_what, body) => {
    const answer = await world.send("POST", "/api/keys", { cookie, body });
    expect(problem.parse(answer.body)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  test("401, 403, 405, 413 and 415: given what each refuses, when it is sent, then it has its status and no key is made", async () => {
    const before = await world.query("select count(*) from api_key");
    const body = { name: "a" };
    const answers = [
      await world.send("POST", "/api/keys", { body }),
      await world.send("POST", "/api/keys", { cookie, body, headers: { "x-cx-csrf": null } }),
      await world.send("PUT", "/api/keys", { cookie, body }),
      await world.send("POST", "/api/keys", { cookie, body: { name: "x".repeat(40_000) } }),
      await world.send("POST", "/api/keys", { cookie, text: "name=a", headers: { "content-type": "text/plain" } }),
    ];
    expect(answers.map(({ status, body: refusal }) => [status, refusal["code"]])).toEqual([
      [401, "session_required"],
      [403, "csrf_rejected"],
      [405, "method_not_allowed"],
      [413, "request_too_large"],
      [415, "unsupported_media_type"],
    ]);
    expect(answers[2]?.headers.get("allow")).toBe("GET, HEAD, POST");
    expect(await world.query("select count(*) from api_key")).toEqual(before);
  });

  test("409: given 120 creations at once, when they end, then an account has 100 active keys, and one revoked makes room for one", async () => {
    const crowded = newId("acc");
    const own = await world.auth.signIn(crowded);
    // A machine with other things to do lets some wait too long for the account's turn: they get 503, and ask again.
    const make = async (index: number): Promise<Answer> => {
      for (;;) {
        const answer = await world.send("POST", "/api/keys", { cookie: own, body: { name: `key ${String(index)}` } });
        if (answer.status !== 503) return answer;
      }
    };
    const answers = await Promise.all(Array.from({ length: 120 }, (_none, index) => make(index)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(100);
    const refused = answers.filter(({ status }) => status === 409);
    expect(refused).toHaveLength(20);
    expect(refused[0]).toMatchObject({ body: { code: "conflict" } });
    const active = "select count(*)::int as count from api_key where account_id = $1 and status = 'active'";
    expect(await world.query(active, [idToUuid(crowded)])).toEqual([{ count: 100 }]);
    const first = keyCreated.parse(answers.find(({ status }) => status === 201)?.body).key.keyId;
    expect((await revoke(first, own)).status).toBe(200);
    expect((await world.send("POST", "/api/keys", { cookie: own, body: { name: "one more" } })).status).toBe(201);
    expect((await world.send("POST", "/api/keys", { cookie: own, body: { name: "too many" } })).status).toBe(409);
  }, 60_000);
});

describe("GET /api/keys", () => {
  test("200: given two keys, when they are listed, then the newest is first, the secret nowhere, and no other account's key", async () => {
    const own = await world.auth.signIn(newId("acc"));
    const [older, newer] = [await create(own, "older"), await create(own, "newer")];
    const answer = await world.send("GET", "/api/keys", { cookie: own });
    expect(answer.status).toBe(200);
    const { keys } = keyList.parse(answer.body);
    expect(keys.map(({ keyId }) => keyId)).toEqual([newer.keyId, older.keyId]);
    expect(keys.map(({ prefix }) => prefix)).toEqual([newer.secret.slice(0, 12), older.secret.slice(0, 12)]);
    expect(answer.text).not.toContain(newer.secret);
    expect(answer.text).not.toContain(hashApiKey(newer.secret));
  });

  test("400 and 401: given a query, a strange cookie and an ended session, when keys are listed, then it is refused", async () => {
    const ended = await world.auth.signIn(newId("acc"));
    expect((await world.send("GET", "/api/keys?limit=1", { cookie })).status).toBe(400);
    expect((await world.send("GET", "/api/keys")).status).toBe(401);
    expect((await world.send("GET", "/api/keys", { cookie: `${ended.slice(0, -4)}AAAA` })).status).toBe(401);
  });
});

describe("POST /api/keys/:keyId/revoke", () => {
  test("200: given a key, when it is revoked, then row, RPC, event and tombstone say so, with a higher version", async () => {
    const { keyId, secret } = await create();
    const keyHash = hashApiKey(secret);
    const answer = await revoke(keyId);
    expect(answer.status).toBe(200);
    const { key } = keyResponse.parse(answer.body);
    expect(key).toMatchObject({ keyId, status: "revoked", revokedAt: expect.any(String) });
    expect(await world.bus.call(keyResolve, { keyHash })).toMatchObject({
      ok: true,
      value: { keyId, accountId, status: "revoked", version: 2 },
    });
    const tombstones = await world.bus.kv(keyRevocations);
    expect((await tombstones.get(keyHash))?.value).toEqual({ keyId, version: 2, revokedAt: key.revokedAt });
    await eventually(() => eventsOf(keyId).length === 2, { what: "both events of the key" });
    expect(eventsOf(keyId).map(({ status, version }) => [status, version])).toEqual([
      ["active", 1],
      ["revoked", 2],
    ]);
  });

  test("200: given a revoked key, when it is revoked again, also ten times at once, then nothing changes", async () => {
    const { keyId } = await create();
    const answers = await Promise.all(Array.from({ length: 10 }, () => revoke(keyId)));
    const last = await revoke(keyId);
    expect(new Set([...answers, last].map(({ status, text }) => `${String(status)} ${text}`)).size).toBe(1);
    expect(last.status).toBe(200);
    const rows = await world.query("select version from api_key where id = $1", [idToUuid(keyId)]);
    expect(rows).toEqual([{ version: 2 }]);
    await eventually(() => eventsOf(keyId).length >= 2, { what: "both events of the key" });
    const marker = await create();
    await eventually(() => eventsOf(marker.keyId).length > 0, { what: "the event of a later key" });
    expect(eventsOf(keyId)).toHaveLength(2);
  });

  test("404: given another's key, a missing one and no id at all, when they are revoked, then the answers are equal in every byte", async () => {
    const { keyId, secret } = await create(await world.auth.signIn(newId("acc")));
    const foreign = await revoke(keyId);
    expect(foreign).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(comparable(await revoke(newId("key")))).toEqual(comparable(foreign));
    expect(comparable(await revoke("nonsense"))).toEqual(comparable(foreign));
    expect(await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) })).toMatchObject({
      value: { status: "active", version: 1 },
    });
  });

  test("401, 403 and 405: given no session, no header of ours and a wrong method, when a key would be revoked, then it stays active", async () => {
    const { keyId, secret } = await create();
    const path = `/api/keys/${keyId}/revoke`;
    const answers = [
      await world.send("POST", path),
      await world.send("POST", path, { cookie, headers: { origin: "https://evil.example" } }),
      await world.send("GET", path, { cookie }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 403, 405]);
    expect(await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) })).toMatchObject({
      value: { status: "active" },
    });
  });
});

describe("RPC keys.resolve", () => {
  test("given an active key, when its hash is asked for, then owner and rights come back", async () => {
    const { keyId, secret } = await create();
    expect(await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) })).toEqual({
      ok: true,
      value: {
        keyId,
        accountId,
        status: "active",
        version: 1,
        models: null,
        expiresAt: null,
        caps: null,
        limits: null,
        allowedIps: null,
      },
    });
  });

  test("given a gateway of the version before, when it asks, then it gets exactly what it knows", async () => {
    const { keyId, secret } = await create();
    await world.send("PATCH", `/api/keys/${keyId}`, { cookie, body: { allowedIps: ["10.0.0.0/8"], models: ["m"] } });
    expect(await world.bus.call(keyResolveV1, { keyHash: hashApiKey(secret) })).toEqual({
      ok: true,
      value: { keyId, accountId, status: "active", version: 2, models: ["m"], expiresAt: null, caps: null },
    });
    expect(await world.bus.call(keyResolveV1, { keyHash: "0".repeat(64) })).toMatchObject({ code: "unknown_key" });
  });

  test("given a key with limits, when its hash is asked for, then models and end come along", async () => {
    const { keyId, secret } = await create();
    const expiresAt = "2030-01-02T03:04:05.000Z";
    await world.query("update api_key set models = $1, expires_at = $2 where id = $3", [
      ["demo-small"],
      expiresAt,
      idToUuid(keyId),
    ]);
    expect(await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) })).toMatchObject({
      value: { models: ["demo-small"], expiresAt },
    });
  });

  test("given a hash of no key, when it is asked for, then it is unknown", async () => {
    expect(await world.bus.call(keyResolve, { keyHash: "0".repeat(64) })).toMatchObject({
      ok: false,
      code: "unknown_key",
    });
  });
});

describe("the secret", () => {
  test("given keys in all states, when every row and every message is read, then no secret is in them", async () => {
    const made = [await create(), await create(), await create()];
    await revoke(made[0]?.keyId ?? "");
    await eventually(() => made.every(({ keyId }) => eventsOf(keyId).length > 0), { what: "their events" });
    const tables = await world.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'keys'",
    );
    expect(tables.map(({ name }) => name).toSorted()).toEqual([
      ...["api_key", "audit_act", "data_key", "key_act", "outbox", "schema_migration"],
    ]);
    const dumps = await Promise.all(
      tables.map(({ name }) => world.query<{ row: string }>(`select t::text as row from "${name}" t`)),
    );
    const rows = dumps.flat().map(({ row }) => row);
    // Both searches would find what is there: the hash is.
    const [hash, prefix] = [hashApiKey(made[1]?.secret ?? ""), made[1]?.secret.slice(0, 12) ?? ""];
    expect(rows.filter((row) => row.includes(hash) && row.includes(prefix))).toHaveLength(1);
    expect(traffic.filter((message) => message.includes(hash)).length).toBeGreaterThan(0);
    for (const { secret } of made) {
      const forms = [
        secret,
        secret.slice(8),
        Buffer.from(secret).toString("hex"),
        Buffer.from(secret).toString("base64"),
      ];
      expect([...rows, ...traffic].filter((text) => forms.some((form) => text.includes(form)))).toEqual([]);
    }
  });
});

test("given the migrated schema, when it is migrated again, then nothing changes", async () => {
  expect(await world.migrateAgain()).toEqual([]);
});

describe("PATCH /api/keys/:keyId", () => {
  const caps = { daily: "10.000000", monthly: null, total: "250.500000" };
  const change = (keyId: string, body: unknown, of: string = cookie): Promise<Answer> =>
    world.send("PATCH", `/api/keys/${keyId}`, { cookie: of, body });
  const resolved = async (secret: string) => {
    const answer = await world.bus.call(keyResolve, { keyHash: hashApiKey(secret) });
    return answer.ok ? answer.value : undefined;
  };

  test("200: given caps, then the key has them in its list, gateways are told a new version, and the same again changes nothing", async () => {
    const { keyId, secret } = await create();
    const answer = await change(keyId, { caps });
    expect(answer.status).toBe(200);
    expect(keyResponse.parse(answer.body).key).toMatchObject({
      keyId,
      caps: { daily: 10_000_000n, monthly: null, total: 250_500_000n },
    });
    await change(keyId, { caps });
    expect(await resolved(secret)).toMatchObject({
      version: 2,
      caps: { daily: 10_000_000n, monthly: null, total: 250_500_000n },
    });
    const list = keyList.parse((await world.send("GET", "/api/keys", { cookie })).body);
    expect(list.keys.find((key) => key.keyId === keyId)?.caps).toMatchObject({ daily: 10_000_000n });
    await eventually(() => eventsOf(keyId).some(({ version }) => version === 2), { what: "the key's event" });
    expect((await change(keyId, { caps: null })).status).toBe(200);
    expect(await resolved(secret)).toMatchObject({ version: 3, caps: null });
  });

  test("201: given caps at creation, then the key has them; three times no limit is no cap", async () => {
    const made = async (body: object) => {
      const answer = await world.send("POST", "/api/keys", { cookie, body: { name: "capped", ...body } });
      return resolved(keyCreated.parse(answer.body).secret);
    };
    expect(await made({ caps })).toMatchObject({ caps: { daily: 10_000_000n }, version: 1 });
    expect(await made({ caps: { daily: null, monthly: null, total: null } })).toMatchObject({ caps: null });
  });

  const limits = { requestsPerMinute: 60, tokensPerMinute: null, concurrentRequests: 4 };

  test("200: given limits, models and addresses, then each is set without touching the others, and null lifts it again", async () => {
    const { keyId, secret } = await create();
    const all = { caps, limits, models: ["demo-small", "demo-large"], allowedIps: ["10.0.0.0/8", "2001:db8::/32"] };
    for (const [name, value] of Object.entries(all)) await change(keyId, { [name]: value });
    const expected = { limits, models: all.models, allowedIps: all.allowedIps };
    expect(await resolved(secret)).toMatchObject({ ...expected, version: 5, caps: { daily: 10_000_000n } });
    const again = await change(keyId, all);
    expect(keyResponse.parse(again.body).key).toMatchObject(expected);
    expect(await resolved(secret)).toMatchObject({ version: 5 });
    await change(keyId, { limits: null, models: null, allowedIps: null });
    expect(await resolved(secret)).toMatchObject({
      version: 6,
      limits: null,
      models: null,
      allowedIps: null,
      caps: { daily: 10_000_000n },
    });
  });

  test("201: given limits at creation, then the key has them; three times the operator's is none; a list names each once", async () => {
    const made = async (body: object) => {
      const answer = await world.send("POST", "/api/keys", { cookie, body: { name: "limited", ...body } });
      return resolved(keyCreated.parse(answer.body).secret);
    };
    expect(await made({ limits, models: ["a", "b", "a"], allowedIps: ["1.2.3.4", "1.2.3.4"] })).toMatchObject({
      version: 1,
      limits,
      models: ["a", "b"],
      allowedIps: ["1.2.3.4"],
    });
    const none = { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null };
    expect(await made({ limits: none })).toMatchObject({ limits: null });
  });

  test.each([
    ["a limit of nothing", { limits: { ...limits, requestsPerMinute: 0 } }],
    ["a limit with a fraction", { limits: { ...limits, tokensPerMinute: 1.5 } }],
    ["a limit that is too large", { limits: { ...limits, tokensPerMinute: 1_000_000_001 } }],
    ["a limit that is missing", { limits: { requestsPerMinute: 1 } }],
    ["no models", { models: [] }],
    ["too many models", { models: Array.from({ length: 201 }, (_none, index) => `m${String(index)}`) }],
    ["no addresses", { allowedIps: [] }],
    ["a name for an address", { allowedIps: ["localhost"] }],
    ["an octal address", { allowedIps: ["010.0.0.1"] }],
    ["a range that is too long", { allowedIps: ["10.0.0.0/33"] }],
    ["an address with a zone", { allowedIps: ["fe80::1%eth0"] }],
    ["too many addresses", { allowedIps: Array.from({ length: 51 }, (_none, index) => `10.0.0.${String(index)}`) }],
    ["a negative cap", { caps: { ...caps, daily: "-1.000000" } }],
    ["a number", { caps: { ...caps, daily: 5 } }],
    ["more than can be stored", { caps: { ...caps, daily: "99999999999999.000000" } }],
    ["a window that is missing", { caps: { daily: "1.000000" } }],
    ["nothing", {}],
    ["another field", { caps, environment: "test" }],
    ["an empty name", { name: " " }],
    ["too many tags", { tags: Array.from({ length: 21 }, (_none, index) => `t${String(index)}`) }],
    ["an empty tag", { tags: [""] }],
    ["an end that is over", { expiresAt: "2020-01-01T00:00:00.000Z" }],
    ["an end that is no time", { expiresAt: "tomorrow" }],
  ])("400: given %s, then it is refused", async (_what, body) => {
    const { keyId } = await create();
    expect((await change(keyId, body)).status).toBe(400);
  });

  test("404: given another's key, a missing one, or a revoked one, then the same answer", async () => {
    const { keyId } = await create();
    const stranger = await world.auth.signIn(newId("acc"));
    const foreign = await change(keyId, { caps }, stranger);
    const missing = await change(newId("key"), { caps }, stranger);
    await revoke(keyId);
    const revoked = await change(keyId, { caps });
    expect([foreign.status, missing.status, revoked.status]).toEqual([404, 404, 404]);
    expect(comparable(foreign)).toEqual(comparable(missing));
  });
});
