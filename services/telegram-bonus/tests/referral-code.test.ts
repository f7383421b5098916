import { referralCodeGet } from "@codex/contracts";
import { idToUuid, newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { startHarness, type Harness } from "../../auth/tests/_harness.ts";
import { bonusMigrations, bonusSchema, start, telegramBonusConfig } from "../src/index.ts";

let world: Harness;

beforeAll(async () => {
  world = await startHarness({
    name: "telegram-bonus",
    schema: bonusSchema,
    migrations: bonusMigrations,
    config: telegramBonusConfig,
    start,
  });
});
afterAll(() => world.stop());

const path = "/api/bonus/referral-code";

describe("referral code", () => {
  test("200: given an account, when it asks by HTTP and by RPC, now and later, then it has one code", async () => {
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const answer = await world.send("GET", path, { cookie });
    expect(answer.status).toBe(200);
    const { code } = referralCodeGet.res.parse(answer.body);
    expect(await world.bus.call(referralCodeGet, { accountId })).toEqual({ ok: true, value: answer.body });
    expect((await world.send("GET", path, { cookie })).text).toBe(answer.text);
    const rows = await world.query("select code from referral_code where account_id = $1", [idToUuid(accountId)]);
    expect(rows).toEqual([{ code }]);
  });

  test("200: given fifty first asks at once by both ways and on two processes, when they end, then all have the same code", async () => {
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const replica = await world.startReplica();
    const codes = await Promise.all(
      Array.from({ length: 50 }, async (_none, index) => {
        if (index % 3 === 0) {
          const answer = await world.bus.call(referralCodeGet, { accountId });
          return answer.ok ? answer.value.code : answer.message;
        }
        const to = index % 3 === 1 ? world.service : replica;
        return (await world.send("GET", path, { cookie, to })).body["code"];
      }),
    );
    expect(new Set(codes).size).toBe(1);
    const rows = await world.query("select code from referral_code where account_id = $1", [idToUuid(accountId)]);
    expect(rows).toEqual([{ code: codes[0] }]);
    await replica.stop();
  });

  test("given many accounts at once, when each asks, then no two have the same code", async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => world.bus.call(referralCodeGet, { accountId: newId("acc") })),
    );
    expect(new Set(answers.map((answer) => (answer.ok ? answer.value.code : ""))).size).toBe(60);
  });

  test("400, 401, 404 and 405: given what each refuses, when it is sent, then it has its status", async () => {
    const cookie = await world.auth.signIn(newId("acc"));
    const answers = [
      await world.send("GET", `${path}?accountId=${newId("acc")}`, { cookie }),
      await world.send("GET", path),
      await world.send("GET", "/api/bonus/nothing", { cookie }),
      await world.send("DELETE", path, { cookie }),
    ];
    expect(answers.map(({ status, body }) => [status, body["code"]])).toEqual([
      [400, "invalid_request"],
      [401, "session_required"],
      [404, "route_not_found"],
      [405, "method_not_allowed"],
    ]);
    expect(await world.query("select 1 from referral_code where code is null")).toEqual([]);
  });
});

test("given the migrated schema, when it is migrated again, then nothing changes", async () => {
  expect(await world.migrateAgain()).toEqual([]);
});

test("401 and 503: given an ended session and then auth away, when the code is asked for, then each is told apart and none is made", async () => {
  const accountId = newId("acc");
  const cookie = await world.auth.signIn(accountId);
  world.auth.endAll();
  expect((await world.send("GET", path, { cookie })).status).toBe(401);
  await world.auth.stop();
  expect(await world.send("GET", path, { cookie })).toMatchObject({
    status: 503,
    body: { code: "service_unavailable" },
  });
  expect(await world.query("select 1 from referral_code where account_id = $1", [idToUuid(accountId)])).toEqual([]);
});
