import { auditLineList, ownAuditLineList } from "@codex/contracts";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Harness } from "./_harness.ts";
import {
  cookieOf,
  enrolTotp,
  freshEmail,
  isAbout,
  mailTo,
  password,
  register,
  signIn,
  startAuth,
  totpOf,
} from "./_util.ts";

// SEC-147: what an owner does with what protects the account is written down too, and what operators do stands beside it.

let world: Harness;
beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

const own = async (cookie: string, query = "") =>
  ownAuditLineList.parse((await world.send("GET", `/api/auth/audit${query}`, { cookie })).body).lines;

test("given every change of a credential, when the owner looks, then each is there once, in order, and no word of the credentials or of the address", async () => {
  const [email, next] = [freshEmail(), freshEmail()];
  const { cookie } = await register(world, email);
  const enrolled = await enrolTotp(world, cookie);
  const changed = await world.send("POST", "/api/auth/password", {
    cookie: enrolled.cookie,
    body: { password: `${password}, another one` },
  });
  const session = cookieOf(changed);
  await world.send("POST", "/api/auth/recovery-codes", { cookie: session });
  await world.send("POST", "/api/auth/email", { cookie: session, body: { email: next } });
  const { token } = await mailTo(world, next, isAbout("/email"));
  await world.send("POST", "/api/auth/email/confirm", { body: { token } });
  const removed = await world.send("DELETE", "/api/auth/totp", { cookie: session });
  const last = cookieOf(removed);
  const lines = await own(last);
  expect(lines.map(({ action, by }) => [action, by])).toEqual(
    [
      "totp_removed",
      "email_changed",
      "recovery_codes_renewed",
      "password_changed",
      "recovery_codes_renewed",
      "totp_added",
      "account_registered",
    ].map((action) => [action, "you"]),
  );
  const text = JSON.stringify(lines);
  for (const word of [email, next, enrolled.secret, ...enrolled.recoveryCodes, password])
    expect(text).not.toContain(word);
  expect((await own(last, "?action=totp_added")).map(({ action }) => action)).toEqual(["totp_added"]);
  // What operators did is another list, and this is none of it.
  expect((await world.send("GET", "/api/auth/acts", { cookie: last })).body).toEqual({ acts: [] });
}, 60_000);

test("given a recovery code that is used and a password that is reset by mail, when the owner looks, then both are there", async () => {
  const email = freshEmail();
  const { cookie } = await register(world, email);
  const { recoveryCodes, secret } = await enrolTotp(world, cookie);
  const first = await signIn(world, email);
  const { ticket } = (first.body as { secondFactor: { ticket: string } }).secondFactor;
  const proof = { recoveryCode: recoveryCodes[0] };
  expect((await world.send("POST", "/api/auth/sign-in/second-factor", { body: { ticket, proof } })).status).toBe(200);
  await world.send("POST", "/api/auth/reset-link", { body: { email } });
  const { token } = await mailTo(world, email, isAbout("/reset"));
  const reset = await world.send("POST", "/api/auth/reset", { body: { token, password: `${password}, reset` } });
  expect(reset.status).toBeLessThan(300);
  const second = await signIn(world, email, `${password}, reset`);
  const again = (second.body as { secondFactor: { ticket: string } }).secondFactor.ticket;
  const finished = await world.send("POST", "/api/auth/sign-in/second-factor", {
    body: { ticket: again, proof: { totp: totpOf(secret) } },
  });
  expect((await own(cookieOf(finished))).slice(0, 2).map(({ action }) => action)).toEqual([
    "password_changed",
    "recovery_code_used",
  ]);
}, 60_000);

test("401, 403 and 400: given nobody, a customer at the operators' log, and another's id in the own one, then each is refused", async () => {
  const { cookie, accountId } = await register(world);
  expect((await world.send("GET", "/api/auth/audit")).status).toBe(401);
  expect((await world.send("GET", "/api/auth/operator/audit", { cookie })).status).toBe(403);
  expect((await world.send("GET", `/api/auth/audit?accountId=${accountId}`, { cookie })).status).toBe(400);
  expect(auditLineList.safeParse((await world.send("GET", "/api/auth/audit", { cookie })).body).success).toBe(false);
});
