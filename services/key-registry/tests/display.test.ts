import { keyCreated, keyList, keyShown } from "@codex/contracts";
import { idToUuid, newId, type AccountId, type KeyId } from "@codex/kernel";
import type { InProcessService } from "@codex/runtime";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { comparable, recordTraffic, type Answer, type Harness } from "../../auth/tests/_harness.ts";
import { startKeyRegistry } from "./_util.ts";

// SEC-40 to SEC-43: keys that may be shown again. The world's own process has it off, as is the default.

const first = "d1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
const second = "Zq8w-Lm3_Xc7vB1nR5tY9uI2oP4aS6dF0gH";
const on = { KEY_DISPLAY_KEY: first };

let world: Harness;
let showing: InProcessService;
let traffic: readonly string[];

beforeAll(async () => {
  world = await startKeyRegistry();
  showing = await world.startReplica(on);
  traffic = recordTraffic(world.bus);
});
afterAll(() => world.stop());

const freshly = (accountId: AccountId): Promise<string> => world.auth.signInAt(accountId, new Date());

async function create(cookie: string, to = showing) {
  const answer = await world.send("POST", "/api/keys", { cookie, body: { name: "kept" }, to });
  return keyCreated.parse(answer.body);
}
const show = (keyId: string, cookie: string, to = showing): Promise<Answer> =>
  world.send("POST", `/api/keys/${keyId}/show`, { cookie, to });
const secretOf = (answer: Answer): string => keyShown.parse(answer.body).secret;
const sealedRow = async (keyId: Parameters<typeof idToUuid>[0]) =>
  (await world.query("select sealed_secret, data_key_id from api_key where id = $1", [idToUuid(keyId)]))[0];

describe("SEC-40 repeat display is off by default", () => {
  test("given a key, then nothing of it is kept, it says so, and it is not shown", async () => {
    const cookie = await freshly(newId("acc"));
    const { key } = await create(cookie, world.service);
    expect(key.canBeShown).toBe(false);
    expect(await sealedRow(key.keyId)).toEqual({ sealed_secret: null, data_key_id: null });
    expect(await show(key.keyId, cookie, world.service)).toMatchObject({ status: 409, body: { code: "conflict" } });
    // Where it is on meanwhile, there is nothing to show either.
    expect(await show(key.keyId, cookie)).toMatchObject({ status: 409, body: { code: "conflict" } });
  });

  test("given keys that were kept, when a process starts with it off, then nothing is kept any more", async () => {
    const cookie = await freshly(newId("acc"));
    const { key } = await create(cookie);
    expect(await sealedRow(key.keyId)).not.toMatchObject({ sealed_secret: null });
    const off = await world.startReplica();
    expect(await world.query("select 1 from api_key where sealed_secret is not null")).toEqual([]);
    expect(await show(key.keyId, cookie)).toMatchObject({ status: 409 });
    await off.stop();
  });
});

describe("SEC-42 showing a key again", () => {
  test("200: given its owner with a fresh sign-in, then it is shown, not cached, written down, and nowhere in clear", async () => {
    const accountId = newId("acc");
    const cookie = await freshly(accountId);
    const { key, secret } = await create(cookie);
    const answer = await show(key.keyId, cookie);
    expect(answer.status).toBe(200);
    expect(secretOf(answer)).toBe(secret);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const acts = await world.query(
      "select key_id, act, row_to_json(key_act)::text as row from key_act where account_id = $1",
      [idToUuid(accountId)],
    );
    expect(acts).toMatchObject([{ key_id: idToUuid(key.keyId), act: "shown" }]);
    expect(
      await world.query(
        "select actor_id, action, target from audit_act where account_id = $1 order by seq desc limit 1",
        [idToUuid(accountId)],
      ),
    ).toEqual([{ actor_id: idToUuid(accountId), action: "key_shown", target: key.keyId }]);
    const rows = await world.query<{ row: string }>(
      "select t::text as row from api_key t union all select t::text from data_key t union all select t::text from key_act t union all select t::text from audit_act t union all select t::text from outbox t",
    );
    const forms = [
      secret,
      secret.slice(8),
      Buffer.from(secret).toString("hex"),
      Buffer.from(secret).toString("base64"),
    ];
    const everywhere = [...rows.map(({ row }) => row), ...traffic];
    expect(everywhere.filter((text) => forms.some((form) => text.includes(form)))).toEqual([]);
    // The list says that it can be, and does not.
    const list = await world.send("GET", "/api/keys", { cookie, to: showing });
    expect(keyList.parse(list.body).keys[0]?.canBeShown).toBe(true);
    expect(list.text).not.toContain(secret);
  });

  test("401 reauth_required: given a sign-in of more than five minutes ago, then it is not shown", async () => {
    const accountId = newId("acc");
    const { key } = await create(await freshly(accountId));
    const old = await world.auth.signInAt(accountId, new Date(Date.now() - 301_000));
    expect(await show(key.keyId, old)).toMatchObject({ status: 401, body: { code: "reauth_required" } });
    expect(await world.query("select 1 from key_act where account_id = $1", [idToUuid(accountId)])).toEqual([]);
  });

  test.each(["user", "support", "finance", "admin"] as const)(
    "404: given somebody else of the role %s with a fresh sign-in, then another's key does not exist",
    async (role) => {
      const { key } = await create(await freshly(newId("acc")));
      const cookie = await world.auth.signInAt(newId("acc"), new Date(), role);
      const foreign = await show(key.keyId, cookie);
      expect(foreign).toMatchObject({ status: 404, body: { code: "not_found" } });
      expect(comparable(await show(newId("key"), cookie))).toEqual(comparable(foreign));
    },
  );

  test("429: given twenty at once, then five are shown, and as many are written down; another account is not concerned", async () => {
    const accountId = newId("acc");
    const cookie = await freshly(accountId);
    const { key } = await create(cookie);
    const answers = await Promise.all(Array.from({ length: 20 }, () => show(key.keyId, cookie)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body).toMatchObject({ code: "rate_limit_exceeded" });
    const wait = Number(refused?.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(3_000);
    expect(wait).toBeLessThanOrEqual(3_600);
    const { count } = (
      await world.query("select count(*)::int as count from key_act where account_id = $1", [idToUuid(accountId)])
    )[0] ?? { count: 0 };
    expect(count).toBe(5);
    const other = await freshly(newId("acc"));
    expect((await show((await create(other)).key.keyId, other)).status).toBe(200);
  });

  test("given a key that is revoked, alone or rolled away, then what was sealed went in the same transaction, and it is not shown", async () => {
    const cookie = await freshly(newId("acc"));
    const [revoked, rolled] = [await create(cookie), await create(cookie)];
    await world.send("POST", `/api/keys/${revoked.key.keyId}/revoke`, { cookie, to: showing });
    await world.send("POST", `/api/keys/${rolled.key.keyId}/roll`, {
      cookie,
      body: { overlapSeconds: 0 },
      to: showing,
    });
    for (const { key } of [revoked, rolled]) {
      expect(await sealedRow(key.keyId)).toEqual({ sealed_secret: null, data_key_id: null });
      expect((await show(key.keyId, cookie)).status).toBe(404);
    }
    // The version before knows nothing of it, and revokes all the same.
    const third = await create(cookie);
    await world.query("update api_key set status = 'revoked', revoked_at = now() where id = $1", [
      idToUuid(third.key.keyId),
    ]);
    expect(await sealedRow(third.key.keyId)).toEqual({ sealed_secret: null, data_key_id: null });
  });
});

describe("SEC-41 an envelope that was moved or altered", () => {
  test("given the sealed key of another row or account, or a flipped bit, then it is a 500 and no key", async () => {
    const cookie = await freshly(newId("acc"));
    const [one, other] = [await create(cookie), await create(cookie)];
    const stranger = await create(await freshly(newId("acc")));
    const seal = async (id: typeof one.key.keyId) => String((await sealedRow(id))?.["sealed_secret"]);
    const put = (text: string) =>
      world.query("update api_key set sealed_secret = $2 where id = $1", [idToUuid(one.key.keyId), text]);
    const own = await seal(one.key.keyId);
    const flipped = Buffer.from(own, "base64");
    flipped.writeUInt8(flipped.readUInt8(20) ^ 1, 20);
    for (const text of [await seal(other.key.keyId), await seal(stranger.key.keyId), flipped.toString("base64")]) {
      await put(text);
      const answer = await show(one.key.keyId, cookie);
      expect(answer).toMatchObject({ status: 500, body: { code: "internal_error" } });
      expect(answer.text).not.toContain("cx_live_");
    }
    await put(own);
    expect(secretOf(await show(one.key.keyId, cookie))).toBe(one.secret);
  });
});

describe("SEC-43 another master key", () => {
  test("given the new one with the old one beside it, then a start re-wraps data keys and touches no sealed key; afterwards the old one opens nothing", async () => {
    const cookie = await freshly(newId("acc"));
    const { key, secret } = await create(cookie);
    const before = await sealedRow(key.keyId);
    const both = await world.startReplica({
      KEY_DISPLAY_KEY: second,
      KEY_DISPLAY_KEY_VERSION: "2",
      KEY_DISPLAY_KEY_PREVIOUS: first,
    });
    expect(await sealedRow(key.keyId)).toEqual(before);
    expect(await world.query("select distinct master_version from data_key")).toEqual([{ master_version: 2 }]);
    expect(secretOf(await show(key.keyId, cookie, both))).toBe(secret);
    await both.stop();
    const alone = await world.startReplica({ KEY_DISPLAY_KEY: second, KEY_DISPLAY_KEY_VERSION: "2" });
    expect(secretOf(await show(key.keyId, cookie, alone))).toBe(secret);
    // The process with the old key, as a thief of a backup with a dead master key would have it.
    expect((await show(key.keyId, cookie, showing)).status).toBe(500);
    await alone.stop();
  });

  test("given a change of the master key while keys are made, shown and revoked, then nothing fails, every data key ends under the new one, and every key shows what it was", async () => {
    const third = "Qx2w-Lm3_Xc7vB1nR5tY9uI2oP4aS6dF0gH";
    const generation = { KEY_DISPLAY_KEY: second, KEY_DISPLAY_KEY_VERSION: "2", KEY_DISPLAY_KEY_NEXT: third };
    const [now, slow] = [await world.startReplica(generation), await world.startReplica(generation)];
    const people = await Promise.all(Array.from({ length: 12 }, () => freshly(newId("acc"))));
    const made: { readonly cookie: string; readonly keyId: KeyId; readonly secret: string }[] = [];
    const load = { isOver: false, failed: [] as string[] };
    // Owners who were there before and go on, each at a process of either generation.
    const processes = [now, slow];
    const work = async (cookie: string): Promise<void> => {
      for (let turn = 0; !load.isOver && turn < 100; turn += 1) {
        const to = processes[turn % processes.length] ?? now;
        const created = await world.send("POST", "/api/keys", { cookie, body: { name: "kept" }, to });
        if (created.status !== 201) {
          load.failed.push(created.text);
          continue;
        }
        const { key, secret } = keyCreated.parse(created.body);
        made.push({ cookie, keyId: key.keyId, secret });
      }
    };
    const working = Promise.all(people.map(work));
    const both = { KEY_DISPLAY_KEY: third, KEY_DISPLAY_KEY_VERSION: "3", KEY_DISPLAY_KEY_PREVIOUS: second };
    const next = await world.startReplica(both);
    const before = made.length;
    processes[0] = next;
    await eventually(() => made.length >= before + 24, { what: "keys of the next generation", timeoutMs: 30_000 });
    // What the old generation made last is re-wrapped by the next start, as the README says.
    load.isOver = true;
    await working;
    await Promise.all([now.stop(), slow.stop()]);
    const last = await world.startReplica(both);
    expect(load.failed).toEqual([]);
    expect(
      await world.query(
        "select distinct master_version from data_key where created_at > now() - interval '1 hour' and master_version >= 2",
      ),
    ).toEqual([{ master_version: 3 }]);
    await next.stop();
    await last.stop();
    const alone = await world.startReplica({ KEY_DISPLAY_KEY: third, KEY_DISPLAY_KEY_VERSION: "3" });
    const one = people.map((cookie) => made.find((key) => key.cookie === cookie));
    for (const key of one) {
      if (key) expect(secretOf(await show(key.keyId, key.cookie, alone))).toBe(key.secret);
    }
    expect(one.filter(Boolean)).toHaveLength(people.length);
    await alone.stop();
  }, 60_000);

  test("given a backup of before the change, when it is restored beside the new master key alone, then it shows nothing, and what came after is not concerned", async () => {
    const fourth = "Wx2w-Lm3_Xc7vB1nR5tY9uI2oP4aS6dF0gH";
    const before = await world.startReplica({ KEY_DISPLAY_KEY: second, KEY_DISPLAY_KEY_VERSION: "2" });
    const [mine, late] = [await freshly(newId("acc")), await freshly(newId("acc"))];
    const old = await create(mine, before);
    const backup = await world.query<{ row: string }>("select row_to_json(data_key)::text as row from data_key");
    await before.stop();
    const both = { KEY_DISPLAY_KEY: fourth, KEY_DISPLAY_KEY_VERSION: "3", KEY_DISPLAY_KEY_PREVIOUS: second };
    await (await world.startReplica(both)).stop();
    const alone = await world.startReplica({ KEY_DISPLAY_KEY: fourth, KEY_DISPLAY_KEY_VERSION: "3" });
    expect(secretOf(await show(old.key.keyId, mine, alone))).toBe(old.secret);
    const after = await create(late, alone);
    // The rows of the backup come back over those of now.
    await world.query(
      `update data_key set wrapped_key = kept.wrapped_key, master_version = kept.master_version
       from json_populate_recordset(null::data_key, $1::json) as kept where kept.id = data_key.id`,
      [`[${backup.map(({ row }) => row).join()}]`],
    );
    const restored = await show(old.key.keyId, mine, alone);
    expect(restored).toMatchObject({ status: 500, body: { code: "internal_error" } });
    expect(restored.text).not.toContain(old.secret.slice(0, 12));
    expect(secretOf(await show(after.key.keyId, late, alone))).toBe(after.secret);
    await alone.stop();
  }, 60_000);
});
