import { operatedAccountResponse } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { disposableEmailBlocklist } from "disposable-email-domains-js";
import { mailboxOf } from "../src/domain/account.ts";
import { isDisposable } from "../src/mail/disposable.ts";
import { mailSignals } from "../src/store/migrations/20261127T0103-mail-signals.ts";
import type { Harness } from "./_harness.ts";
import { enrolTotp, freshEmail, isAbout, mailTo, register, signIn, startAuth } from "./_util.ts";

// SEC-28: a throw-away address and a mailbox of another account are signs for whoever gives something away, and hinder nobody.

let world: Harness;
let admin: string;
beforeAll(async () => {
  world = await startAuth();
  const { cookie, accountId } = await register(world);
  await world.query("update account set role = 'admin' where id = $1", [idToUuid(accountId)]);
  admin = (await enrolTotp(world, cookie)).cookie;
});
afterAll(() => world.stop());

const signalsOf = async (accountId: AccountId): Promise<readonly string[]> => {
  const answer = await world.send("GET", `/api/auth/operator/accounts/${accountId}`, { cookie: admin });
  return operatedAccountResponse.parse(answer.body).account.mailSignals;
};
const unique = (): string => freshEmail().split("@")[0] ?? "";

test("given fifty throw-away domains, when addresses of them are judged and some register, then each has the sign, and the accounts work like any other", async () => {
  const all = disposableEmailBlocklist();
  const domains = Array.from({ length: 50 }, (_none, index) => all[Math.floor((index * all.length) / 50)] ?? "");
  expect(new Set(domains).size).toBe(50);
  expect(domains.filter((domain) => !isDisposable(`anna@${domain}`))).toEqual([]);
  expect(["anna@example.org", "anna@gmail.com", "anna@yandex.ru"].filter(isDisposable)).toEqual([]);
  for (const domain of domains.slice(0, 3)) {
    const { accountId, cookie } = await register(world, `${unique()}@${domain}`);
    expect([domain, await signalsOf(accountId)]).toEqual([domain, ["disposable"]]);
    expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(200);
  }
  const email = `${unique()}@${domains[0] ?? ""}`;
  await register(world, email);
  expect((await signIn(world, email)).status).toBe(200);
}, 60_000);

test("given variants of one mailbox, when they register, then the first has no sign and the others have one; all sign in by their own address", async () => {
  const name = unique().replaceAll(".", "");
  const variants = [
    `${name}@gmail.com`,
    `${name}+two@gmail.com`,
    `${name.slice(0, 3)}.${name.slice(3)}@googlemail.com`,
  ];
  const people = [];
  for (const email of variants) people.push(await register(world, email));
  const signals = await Promise.all(people.map(({ accountId }) => signalsOf(accountId)));
  expect(signals).toEqual([[], ["shared_mailbox"], ["shared_mailbox"]]);
  for (const email of variants) expect((await signIn(world, email)).status).toBe(200);
  // Another address, another judgement.
  const [, second] = people;
  const next = freshEmail();
  await world.send("POST", "/api/auth/email", { cookie: second?.cookie, body: { email: next } });
  const { token } = await mailTo(world, next, isAbout("/email"));
  expect((await world.send("POST", "/api/auth/email/confirm", { body: { token } })).status).toBe(204);
  expect(await signalsOf(second?.accountId ?? newId("acc"))).toEqual([]);
}, 60_000);

test("given accounts of before, when the migration is read, then its rule is the one of the code", async () => {
  const [, rule = ""] = /update account set mailbox = (case.*?end);/s.exec(mailSignals) ?? [];
  const emails = [
    "a@example.org",
    "a.b+c@example.org",
    "+a@example.org",
    "a.b+c+d@gmail.com",
    "a.b@googlemail.com",
    "a+@b.org",
  ];
  const rows = await world.query<{ email: string; mailbox: string }>(
    `select email, ${rule} as mailbox from unnest($1::text[]) as email`,
    [emails],
  );
  expect(rows).toEqual(emails.map((email) => ({ email, mailbox: mailboxOf(email) })));
});
