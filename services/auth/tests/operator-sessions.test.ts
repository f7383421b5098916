import { accountActList, operatedSessionList, ownAuditLineList, type OperatedSession } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { sweep } from "../src/store/sweep.ts";
import { comparable, type Answer, type Harness } from "./_harness.ts";
import { cookieOf, enrolTotp, freshEmail, register, signIn, startAuth } from "./_util.ts";

// What operators see of a customer's sessions, and the end of a single one.

let world: Harness;
const operators: { support: string; finance: string; supportId?: AccountId } = { support: "", finance: "" };

async function operatorOf(role: "support" | "finance"): Promise<{ cookie: string; accountId: AccountId }> {
  const { accountId, cookie } = await register(world, freshEmail());
  await world.query("update account set role = $2 where id = $1", [idToUuid(accountId), role]);
  return { accountId, cookie: (await enrolTotp(world, cookie)).cookie };
}

beforeAll(async () => {
  world = await startAuth();
  const support = await operatorOf("support");
  operators.support = support.cookie;
  operators.supportId = support.accountId;
  operators.finance = (await operatorOf("finance")).cookie;
}, 60_000);
afterAll(() => world.stop());

const pathOf = (accountId: string): string => `/api/auth/operator/accounts/${accountId}/sessions`;
const reason = "a browser that is not the owner's";
const look = (accountId: string, cookie = operators.support): Promise<Answer> =>
  world.send("GET", pathOf(accountId), { cookie });
const sessionsOf = async (accountId: string): Promise<readonly OperatedSession[]> =>
  operatedSessionList.parse((await look(accountId)).body).sessions;
const end = (accountId: string, ref: string, cookie: string | undefined = operators.support): Promise<Answer> =>
  world.send("POST", `${pathOf(accountId)}/${ref}/end`, { cookie, body: { reason } });
const isIn = async (cookie: string): Promise<number> => (await world.send("GET", "/api/auth/me", { cookie })).status;

/** Two sessions of one account, the later one first. */
async function twice() {
  const email = freshEmail();
  const { accountId, cookie: first } = await register(world, email);
  const second = cookieOf(await signIn(world, email));
  const [later, earlier] = await sessionsOf(accountId);
  return { accountId, first, second, earlier: earlier?.sessionRef ?? "", later: later?.sessionRef ?? "" };
}

describe("looking", () => {
  test("given sessions that live, ran out and were ended, when they are looked at, then each says so, live ones first, without address, id or token", async () => {
    const email = freshEmail();
    const { accountId, cookie } = await register(world, email);
    for (let count = 0; count < 2; count += 1) await signIn(world, email);
    const rows = await world.query<{ id: string }>(
      "select id from session where account_id = $1 order by created_at desc",
      [idToUuid(accountId)],
    );
    await world.query("update session set last_seen_at = now() - interval '2 days' where id = $1", [rows[0]?.id]);
    await world.query("update session set ended_at = now() where id = $1", [rows[1]?.id]);
    await world.query(
      "insert into session (id, account_id, created_at, last_seen_at, factor, authenticated_at) " +
        "values ($1, $2, now() - interval '40 days', now(), 'password', now())",
      [idToUuid(newId("ses")), idToUuid(accountId)],
    );
    const answer = await look(accountId);
    const { sessions } = operatedSessionList.parse(answer.body);
    expect(sessions.map(({ state, factor, overAt }) => [state, factor, overAt === null])).toEqual([
      ["live", "password", true],
      ["ended", "password", false],
      ["expired", "password", false],
    ]);
    // Beside the list the same is counted.
    const account = await world.send("GET", `/api/auth/operator/accounts/${accountId}`, { cookie: operators.support });
    expect(account.body).toMatchObject({ account: { liveSessions: 1 } });
    expect(sessions[0]?.device).toEqual(expect.any(String));
    expect(new Set(sessions.map(({ sessionRef }) => sessionRef)).size).toBe(3);
    expect(answer.text).not.toMatch(/ses_|127\.0\.0\.1|"ip|token|secret/i);
    // What names a session here opens nothing.
    const token = sessions[0]?.sessionRef ?? "";
    expect(await isIn(cookie.replace(/=.*/, `=${token}`))).toBe(401);
    expect(await isIn(cookie)).toBe(200);
  }, 60_000);

  test("given a look, then the log has a line about it, and the owner sees it without a name", async () => {
    const { accountId, cookie } = await register(world, freshEmail());
    await look(accountId);
    const seen = await world.send("GET", "/api/auth/acts", { cookie });
    expect(accountActList.parse(seen.body).acts.map(({ action }) => action)).toEqual(["sessions_viewed"]);
    expect(seen.text).not.toContain(operators.supportId);
  });

  test("404: given an account that is not there, when its sessions are looked at, then nothing is written down", async () => {
    const nobody = newId("acc");
    expect((await look(nobody)).status).toBe(404);
    expect(await world.query("select from audit_act where account_id = $1", [idToUuid(nobody)])).toEqual([]);
  });
});

test("given sessions that nobody ended, when rows are swept, then those that ran out a month ago are gone, and no others", async () => {
  const { accountId } = await register(world, freshEmail());
  for (const days of [61, 59])
    await world.query(
      "insert into session (id, account_id, created_at, last_seen_at, factor, authenticated_at) " +
        "values ($1, $2, now() - $3 * interval '1 day', now(), 'password', now())",
      [idToUuid(newId("ses")), idToUuid(accountId), days],
    );
  await sweep(world.admin, new Date());
  const rows = await world.query<{ days: number }>(
    "select (extract(epoch from now() - created_at) / 86400)::int as days from session where account_id = $1 order by 1",
    [idToUuid(accountId)],
  );
  expect(rows.map(({ days }) => days)).toEqual([0, 59]);
});

describe("ending one", () => {
  test("given two sessions, when one is ended, then it is over at once, the other goes on, and owner and log learn why and which", async () => {
    const { accountId, first, second, earlier } = await twice();
    const answer = await end(accountId, earlier);
    expect(answer.status).toBe(200);
    const { sessions } = operatedSessionList.parse(answer.body);
    expect(sessions.map(({ state }) => state)).toEqual(["live", "ended"]);
    expect(sessions[1]).toMatchObject({ sessionRef: earlier, overAt: expect.any(String) });
    expect([await isIn(first), await isIn(second)]).toEqual([401, 200]);

    const lines = await world.query(
      "select actor_id, reason, details from audit_act where account_id = $1 and action = 'session_ended'",
      [idToUuid(accountId)],
    );
    const details = { signedInAt: sessions[1]?.createdAt };
    expect(lines).toEqual([{ actor_id: idToUuid(operators.supportId ?? newId("acc")), reason, details }]);
    const acts = accountActList.parse((await world.send("GET", "/api/auth/acts", { cookie: second })).body).acts;
    expect(acts[0]).toMatchObject({ action: "session_ended", reason });
    const history = ownAuditLineList.parse((await world.send("GET", "/api/auth/audit", { cookie: second })).body);
    expect(history.lines[0]).toMatchObject({ action: "session_ended", by: "operator", details });
  }, 60_000);

  test("given a session that is over, when it is ended again, then the answer is the same and the log has one line", async () => {
    const { accountId, earlier } = await twice();
    const answers = await Promise.all([1, 2, 3].map(() => end(accountId, earlier)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(
      await world.query("select 1 as line from audit_act where account_id = $1 and action = 'session_ended'", [
        idToUuid(accountId),
      ]),
    ).toEqual([{ line: 1 }]);
  }, 60_000);

  test("400: given no reason, or one field more, when an end is asked for, then it is refused and the session goes on", async () => {
    const { accountId, first, earlier } = await twice();
    for (const body of [{}, { reason: "" }, { reason, more: 1 }]) {
      const asked = { cookie: operators.support, body };
      expect((await world.send("POST", `${pathOf(accountId)}/${earlier}/end`, asked)).status).toBe(400);
    }
    expect((await end(accountId, "x")).status).toBe(404);
    expect(await isIn(first)).toBe(200);
  });

  test("401: given nobody's cookie, when an existing and a missing session are ended, then the answers are the same", async () => {
    const { accountId, first, earlier } = await twice();
    const real = await world.send("POST", `${pathOf(accountId)}/${earlier}/end`, { body: { reason } });
    const missing = await world.send("POST", `${pathOf(newId("acc"))}/${"x".repeat(22)}/end`, { body: { reason } });
    expect(real.status).toBe(401);
    expect(comparable(real)).toEqual(comparable(missing));
    expect(await isIn(first)).toBe(200);
  });

  test("403: given the owner, a stranger or an operator without the permission, then existing and missing answer the same, and the session goes on", async () => {
    const { accountId, first, second, earlier } = await twice();
    const { cookie: stranger } = await register(world, freshEmail());
    for (const cookie of [second, stranger, operators.finance]) {
      const real = await end(accountId, earlier, cookie);
      expect(real.status).toBe(403);
      expect(comparable(real)).toEqual(comparable(await end(newId("acc"), "x".repeat(22), cookie)));
    }
    for (const cookie of [second, stranger]) {
      const real = await look(accountId, cookie);
      expect(real.status).toBe(403);
      expect(comparable(real)).toEqual(comparable(await look(newId("acc"), cookie)));
    }
    expect(await isIn(first)).toBe(200);
  });

  test("403: given the own account, when an operator would end a session of it, then another one has to", async () => {
    const self = operators.supportId ?? "";
    const [session] = await sessionsOf(self);
    expect(await end(self, session?.sessionRef ?? "")).toMatchObject({ status: 403, body: { code: "own_account" } });
    expect(await isIn(operators.support)).toBe(200);
  });

  test("404: given a session of another account, a missing one and a missing account, then the answers are the same to the byte, and nothing ends", async () => {
    const { accountId, first } = await twice();
    const other = await twice();
    const answers = [
      await end(accountId, other.earlier),
      await end(accountId, "x".repeat(22)),
      await end(newId("acc"), other.earlier),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(new Set(answers.map((answer) => JSON.stringify(comparable(answer)))).size).toBe(1);
    expect([await isIn(first), await isIn(other.first)]).toEqual([200, 200]);
  });
});
