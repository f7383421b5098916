import { ownSessions, recoveryCodes, securityOverview } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import type { InProcessService } from "@codex/runtime";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { forgetFactorFailures } from "./_failures.ts";
import type { Answer, Harness } from "./_harness.ts";
import {
  cookieOf,
  enrolTotp,
  freshEmail,
  mailTo,
  password,
  register,
  secrets,
  signIn,
  startAuth,
  totpOf,
} from "./_util.ts";

let world: Harness;

beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

const me = (cookie: string): Promise<Answer> => world.send("GET", "/api/auth/me", { cookie });
const ticketOf = (answer: Answer): string => (answer.body as { secondFactor: { ticket: string } }).secondFactor.ticket;
const finish = (ticket: string, proof: object): Promise<Answer> =>
  world.send("POST", "/api/auth/sign-in/second-factor", { body: { ticket, proof } });
const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status).toSorted();

async function person(): Promise<{
  email: string;
  secret: string;
  codes: readonly string[];
  cookie: string;
  id: string;
  accountId: string;
}> {
  const email = freshEmail();
  const { cookie, accountId } = await register(world, email);
  const enrolled = await enrolTotp(world, cookie);
  return {
    email,
    secret: enrolled.secret,
    codes: enrolled.recoveryCodes,
    cookie: enrolled.cookie,
    id: idToUuid(accountId),
    accountId,
  };
}

describe("an authenticator app", () => {
  test("given its first code, when it is set up, then there are ten recovery codes, a new session, no other one, a mail, and no secret in the database", async () => {
    const email = freshEmail();
    const { cookie, accountId } = await register(world, email);
    const other = cookieOf(await signIn(world, email));
    const begun = await world.send("POST", "/api/auth/totp", { cookie });
    const { secret, uri } = begun.body as { secret: string; uri: string };
    expect(uri).toContain("otpauth://totp/Codex%20API:");
    expect(Buffer.from(secret).length).toBe(32);
    const wrong = await world.send("POST", "/api/auth/totp/confirm", { cookie, body: { code: "000000" } });
    expect(wrong).toMatchObject({ status: 401, body: { code: "second_factor_wrong" } });
    expect((await signIn(world, email)).body).toHaveProperty("account");
    const confirmed = await world.send("POST", "/api/auth/totp/confirm", { cookie, body: { code: totpOf(secret) } });
    const codes = recoveryCodes.parse(confirmed.body).recoveryCodes;
    expect(new Set(codes).size).toBe(10);
    expect((await me(cookie)).status).toBe(401);
    expect((await me(other)).status).toBe(401);
    expect((await me(cookieOf(confirmed))).status).toBe(200);
    await mailTo(world, email, ({ text }) => text.includes("TOTP"));
    const rows = await world.query("select t::text from totp t union all select r::text from recovery_code r");
    for (const text of [secret, ...codes]) expect(JSON.stringify(rows)).not.toContain(text);
    const again = await world.send("POST", "/api/auth/totp", { cookie: cookieOf(confirmed) });
    expect(again).toMatchObject({ status: 409, body: { code: "conflict" } });
    const seen = securityOverview.parse(
      (await world.send("GET", "/api/auth/security", { cookie: cookieOf(confirmed) })).body,
    );
    expect(seen).toMatchObject({ totp: true, recoveryCodesLeft: 10, passkeys: [] });
    expect(accountId).toMatch(/^acc_/);
  }, 60_000);

  test("401: given one code, when twenty use it at once, then one is signed in; used again, nobody is", async () => {
    const { email, secret } = await person();
    const tickets: string[] = [];
    for (let index = 0; index < 20; index += 1) tickets.push(ticketOf(await signIn(world, email)));
    const code = totpOf(secret);
    const answers = await Promise.all(tickets.map((ticket) => finish(ticket, { totp: code })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status !== 200 && status !== 401 && status !== 429)).toEqual([]);
    const winner = answers.find(({ status }) => status === 200);
    expect((await me(cookieOf(winner ?? answers[0]!))).status).toBe(200);
    expect((await finish(ticketOf(await signIn(world, email)), { totp: code })).status).not.toBe(200);
  }, 120_000);

  test("401: given five wrong codes, when the right one comes, then the ticket has ended; a ticket is good once", async () => {
    const { email, secret, accountId } = await person();
    const ticket = ticketOf(await signIn(world, email));
    for (let guess = 0; guess < 5; guess += 1) {
      await forgetFactorFailures(accountId);
      expect(await finish(ticket, { totp: "000000" })).toMatchObject({
        status: 401,
        body: { code: "second_factor_wrong" },
      });
    }
    await forgetFactorFailures(accountId);
    expect(await finish(ticket, { totp: totpOf(secret) })).toMatchObject({
      status: 401,
      body: { code: "sign_in_expired" },
    });
    const second = ticketOf(await signIn(world, email));
    expect((await finish(second, { totp: totpOf(secret) })).status).toBe(200);
    expect((await finish(second, { totp: totpOf(secret, 1) })).status).toBe(401);
  }, 60_000);

  test("429: given many tickets, when codes are guessed over all of them, then the account slows down", async () => {
    const { email } = await person();
    // First, because a password takes longer to check on a busy machine than the first waits last.
    const tickets: string[] = [];
    for (let ticket = 0; ticket < 7; ticket += 1) tickets.push(ticketOf(await signIn(world, email)));
    const answers: Answer[] = [];
    for (const ticket of tickets) answers.push(await finish(ticket, { totp: "000000" }));
    expect(statuses(answers)).toContain(429);
  }, 60_000);

  test.each([
    ["no ticket", { proof: { totp: "123456" } }, 400],
    ["a ticket that never was", { ticket: "x".repeat(43), proof: { totp: "123456" } }, 401],
    ["two proofs", { ticket: "x".repeat(43), proof: { totp: "123456", recoveryCode: "0000000000" } }, 400],
    ["letters for digits", { ticket: "x".repeat(43), proof: { totp: "12345a" } }, 400],
  ])("given %s, when it is sent, then %3$d", async (_what, body, status) => {
    expect((await world.send("POST", "/api/auth/sign-in/second-factor", { body })).status).toBe(status);
  });
});

test("SEC-43 given a change of the data key, when replicas start with the new one beside the old and then without it, then every app goes on working, and the old key opens nothing any more", async () => {
  const { email, secret, id } = await person();
  const next = "g1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
  const sealed = async (): Promise<unknown> =>
    (await world.query("select sealed_secret from totp where account_id = $1", [id]))[0]?.["sealed_secret"];
  const signInAt = async (to: InProcessService, stepsAhead: number): Promise<number> => {
    const first = await signIn(world, email, undefined, { to });
    const body = { ticket: ticketOf(first), proof: { totp: totpOf(secret, stepsAhead) } };
    return (await world.send("POST", "/api/auth/sign-in/second-factor", { body, to })).status;
  };
  const before = await sealed();
  // Told of the next key, as every process is before the change: nothing is changed by that.
  const told = await world.startReplica({ AUTH_DATA_KEY_NEXT: next });
  expect(await sealed()).toBe(before);
  const both = await world.startReplica({
    AUTH_DATA_KEY: next,
    AUTH_DATA_KEY_PREVIOUS: secrets["AUTH_DATA_KEY"] ?? "",
  });
  const after = await sealed();
  expect(after).not.toBe(before);
  expect(await signInAt(both, 0)).toBe(200);
  expect(ticketOf(await signIn(world, email, undefined, { to: told }))).toMatch(/^[\w-]{43}$/);
  // Once more changes nothing.
  await (
    await world.startReplica({ AUTH_DATA_KEY: next, AUTH_DATA_KEY_PREVIOUS: secrets["AUTH_DATA_KEY"] ?? "" })
  ).stop();
  expect(await sealed()).toBe(after);
  const alone = await world.startReplica({ AUTH_DATA_KEY: next });
  expect(await signInAt(alone, 1)).toBe(200);
  // The process that knows the old key alone: as whoever has a backup and a dead key.
  expect((await signIn(world, email)).status).toBe(500);
  // Back to the key of the other tests.
  await (await world.startReplica({ AUTH_DATA_KEY_PREVIOUS: next })).stop();
}, 60_000);

describe("recovery codes", () => {
  test("given one, when it is used in other letters, then it works once, the owner is told, and nine are left; new ones kill them", async () => {
    const { email, codes, cookie, accountId } = await person();
    const [code = ""] = codes;
    const answers = await Promise.all(
      [1, 2, 3].map(async () =>
        finish(ticketOf(await signIn(world, email)), { recoveryCode: code.toLowerCase().replaceAll("-", " ") }),
      ),
    );
    expect(statuses(answers)).toEqual([200, 401, 401]);
    await mailTo(world, email, ({ text }) => text.includes("осталось: 9"));
    const renewed = await world.send("POST", "/api/auth/recovery-codes", { cookie });
    expect(recoveryCodes.parse(renewed.body).recoveryCodes).toHaveLength(10);
    await forgetFactorFailures(accountId);
    const old = await finish(ticketOf(await signIn(world, email)), { recoveryCode: codes[1] ?? "" });
    expect(old).toMatchObject({ status: 401, body: { code: "second_factor_wrong" } });
  }, 60_000);
});

describe("removal", () => {
  test("given a customer, when the app goes, then the password alone signs in again and the codes are gone", async () => {
    const { email, cookie, id } = await person();
    const removed = await world.send("DELETE", "/api/auth/totp", { cookie });
    expect(removed.status).toBe(204);
    expect((await me(cookie)).status).toBe(401);
    expect((await me(cookieOf(removed))).status).toBe(200);
    expect((await signIn(world, email)).body).toHaveProperty("account");
    expect(await world.query("select 1 from recovery_code where account_id = $1", [id])).toEqual([]);
    await mailTo(world, email, ({ subject }) => subject.includes("Удалён"));
  }, 60_000);

  test("409: given an operator, when the last factor would go, then it stays", async () => {
    const { cookie, id } = await person();
    await world.query("update account set role = 'support' where id = $1", [id]);
    const refused = await world.send("DELETE", "/api/auth/totp", { cookie });
    expect(refused).toMatchObject({ status: 409, body: { code: "second_factor_required" } });
  }, 60_000);
});

describe("a fresh proof (SEC-24)", () => {
  const sensitive = [
    ["POST", "/api/auth/password", { password: "another battery, another horse" }],
    ["POST", "/api/auth/email", { email: "new@example.org" }],
    ["POST", "/api/auth/totp", undefined],
    ["POST", "/api/auth/totp/confirm", { code: "123456" }],
    ["DELETE", "/api/auth/totp", undefined],
    ["POST", "/api/auth/recovery-codes", undefined],
    ["POST", "/api/auth/passkeys/options", undefined],
    ["DELETE", "/api/auth/passkeys/some", undefined],
  ] as const;

  test("403: given a sign-in of six minutes ago, when something sensitive is asked for, then a proof is; after it the way is open, and another session's stays shut", async () => {
    const { email, cookie, secret } = await person();
    await world.query("update session set authenticated_at = now() - interval '6 minutes'");
    for (const [method, path, body] of sensitive) {
      const answer = await world.send(method, path, { cookie, ...(body === undefined ? {} : { body }) });
      expect([path, answer.status, answer.body["code"]]).toEqual([path, 401, "reauth_required"]);
    }
    const prove = (body: object): Promise<Answer> => world.send("POST", "/api/auth/reauthenticate", { cookie, body });
    expect((await prove({ password: "not it" })).status).toBe(401);
    expect((await prove({ totp: "000000" })).status).toBe(401);
    expect((await prove({})).status).toBe(400);
    expect((await prove({ password })).status).toBe(204);
    expect((await world.send("POST", "/api/auth/recovery-codes", { cookie })).status).toBe(200);
    await world.query("update session set authenticated_at = now() - interval '6 minutes'");
    expect((await prove({ totp: totpOf(secret) })).status).toBe(204);
    expect((await world.send("POST", "/api/auth/recovery-codes", { cookie })).status).toBe(200);
    expect(email).toContain("@");
  }, 60_000);

  test("200: given a new password, when it is set, then the caller has another session, the others are over, and the owner is told", async () => {
    const { email, cookie } = await person();
    const changed = await world.send("POST", "/api/auth/password", {
      cookie,
      body: { password: "another battery, another horse" },
    });
    expect(changed.status).toBe(200);
    expect((await me(cookie)).status).toBe(401);
    const listed = ownSessions.parse(
      (await world.send("GET", "/api/auth/sessions", { cookie: cookieOf(changed) })).body,
    );
    expect(listed.sessions).toMatchObject([{ current: true, factor: "second_factor" }]);
    expect((await signIn(world, email)).status).toBe(401);
    await mailTo(world, email, ({ subject }) => subject.includes("Пароль изменён"));
    const weak = await world.send("POST", "/api/auth/password", {
      cookie: cookieOf(changed),
      body: { password: email },
    });
    expect(weak).toMatchObject({ status: 400, body: { code: "password_too_common" } });
  }, 60_000);
});
