import { decodeJwt } from "jose";
import { z } from "zod";
import { Tally, type Outcome, type Suite } from "../suite.ts";
import { password, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-20. A session that the attacker knows must never become somebody's: whatever cookie a browser brings, signing in, a
 * second factor, a new password and a new role give it a session of another number, and the one before is over.
 */

const anything = z.unknown();

const sidOf = (session: string): string => {
  try {
    return String(decodeJwt(session.slice("__Host-cx=".length))["sid"]);
  } catch {
    return "none";
  }
};

interface Change {
  readonly what: string;
  make(world: World, person: Visitor): Promise<void>;
}

const newPassword = "another battery, another horse";

/** Each changes what the session is worth. */
const changes: readonly Change[] = [
  { what: "a second factor is set up", make: async (_world, person) => void (await person.enrolTotp()) },
  {
    what: "the password is changed",
    make: (_world, person) =>
      person.must(anything, "POST", "/api/auth/password", { password: newPassword }).then(() => undefined),
  },
];

async function run(world: World): Promise<readonly Outcome[]> {
  const planted = new Tally("SEC-20 a session that was there before signing in is not the one after it");
  const attacker = await world.customer();
  for (const [what, cookie] of [
    ["the attacker's own", attacker.session.slice("__Host-cx=".length)],
    ["a made-up one", "ses_01h2xcejqtf2nbrexx3vqjhp41"],
    ["a token of nobody", "eyJhbGciOiJub25lIn0.eyJzaWQiOiJzZXNfMDFoMnhjZWpxdGYybmJyZXh4M3ZxamhwNDEifQ."],
  ] as const) {
    const victim = world.stranger();
    victim.setCookie("__Host-cx", cookie);
    await victim.register();
    const browser = victim.another();
    browser.setCookie("__Host-cx", cookie);
    const before = sidOf(browser.session);
    await browser.signIn();
    planted.check(
      sidOf(browser.session) !== before && sidOf(browser.session) !== "none",
      () => `${what}: the session is still ${before}`,
    );
    planted.check(sidOf(browser.session) !== sidOf(victim.session), () => `${what}: two browsers share a session`);
    const old = await victim.askRaw({
      method: "GET",
      path: "/api/auth/me",
      headers: { cookie: `__Host-cx=${cookie}` },
    });
    planted.check(!old.text.includes(victim.email), () => `${what}: it is the victim's now`);
  }
  const mine = await attacker.ask("GET", "/api/auth/me");
  planted.check(mine.text.includes(attacker.email), () => `the attacker's session is another's now: ${mine.text}`);
  return [planted.outcome(), await renewed(world), await roles(world)];
}

async function renewed(world: World): Promise<Outcome> {
  const tally = new Tally("SEC-20 a change of what proves a person renews the session and ends the others");
  for (const { what, make } of changes) {
    const person = await world.customer();
    const other = person.another();
    await other.signIn();
    const before = person.session;
    await make(world, person);
    tally.check(sidOf(person.session) !== sidOf(before), () => `${what}: the session keeps its number`);
    for (const [whose, session] of [
      ["the one before", before],
      ["another browser's", other.session],
    ] as const) {
      const answer = await person.askRaw({ method: "GET", path: "/api/auth/me", headers: { cookie: session } });
      tally.check(answer.status === 401, () => `${what}: ${whose} still works: ${String(answer.status)}`);
    }
    const now = await person.ask("GET", "/api/auth/me");
    tally.check(now.status === 200, () => `${what}: the new one does not work: ${now.text}`);
  }
  return tally.outcome();
}

async function roles(world: World): Promise<Outcome> {
  const tally = new Tally("SEC-20 a new role and a second factor give a session of another number");
  const person = await world.customer();
  const before = person.session;
  await world.grantRole(person.email, "support");
  const after = await person.askRaw({ method: "GET", path: "/api/auth/me", headers: { cookie: before } });
  tally.check(after.status === 401, () => `a new role: the session lives on: ${String(after.status)}`);
  await person.signIn();
  const byPassword = person.session;
  await person.enrolTotp();
  tally.check(sidOf(person.session) !== sidOf(byPassword), () => "a second factor: the session keeps its number");
  const again = person.another();
  again.totpSecret = person.totpSecret;
  again.setCookie("__Host-cx", byPassword.slice("__Host-cx=".length));
  const { status, headers } = await again.ask("POST", "/api/auth/sign-in", { email: person.email, password });
  tally.check(
    status === 200 && !(headers["set-cookie"] ?? "").includes("__Host-cx="),
    () => "the first step alone gives a session",
  );
  return tally.outcome();
}

export const fixation: Suite = {
  name: "fixation",
  description: "a session known before signing in, or before a change, is worth nothing after it (SEC-20)",
  isDeterministic: true,
  run,
};
