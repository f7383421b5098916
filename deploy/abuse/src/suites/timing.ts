import { idToUuid, newId } from "@codex/kernel";
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { mannWhitney, median } from "../mann-whitney.ts";
import { pairedGap } from "../paired-gap.ts";
import { Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { comparable, password, send, type Answer } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-15. Can a stranger find out who has an account? The same call for addresses with an account and without one, in turns
 * and in an order drawn by lot; each address and each network once, so that no throttle has a part in it. Answers must be
 * equal in every byte; the times are compared by the rank test of Mann and Whitney and by the gap within a pair.
 *
 * What it measures: the time from sending to the whole answer, at auth itself (the edge would only add noise to both). A gap
 * of the bound is a finding also where noise explains it, because then nothing is shown: the interval says so.
 */

const pLeast = 0.01;
const gapMostMs = 5;

interface Call {
  readonly what: string;
  readonly path: string;
  body(email: string): unknown;
}

const consentsOf = z.looseObject({ consents: z.array(z.unknown()) });

async function callsOf(world: World): Promise<readonly Call[]> {
  const { consents } = await world.stranger().must(consentsOf, "GET", "/api/auth/registration");
  return [
    { what: "signing in", path: "/api/auth/sign-in", body: (email) => ({ email, password: "not the password" }) },
    { what: "registering", path: "/api/auth/register", body: (email) => ({ email, password, consents }) },
    { what: "a link to a new password", path: "/api/auth/reset-link", body: (email) => ({ email }) },
    { what: "a link to sign in by", path: "/api/auth/sign-in-link", body: (email) => ({ email }) },
  ];
}

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const call of await callsOf(world)) outcomes.push(await compare(world, call, options));
  return outcomes;
}

async function compare(world: World, call: Call, { calls, seed, log }: SuiteOptions): Promise<Outcome> {
  const tally = new Tally(`SEC-15 with and without account: ${call.what}`);
  const existing = await insertAccounts(world, calls);
  const missing = existing.map((email) => email.replace("@known.", "@unkno."));
  const times: (readonly [existing: number, missing: number])[] = [];
  const forms = new Map<string, number>();
  const draw = lots(seed);
  log(`timing: ${call.what}, ${String(2 * calls)} calls`);
  // What is made at the first call, of either kind, is no part of it.
  for (let warm = 0; warm < 10; warm += 1)
    await ask(world, call, `warm${String(warm)}.${randomBytes(4).toString("hex")}@example.org`);
  const timeOf = async (email: string): Promise<number> => {
    const fromMs = performance.now();
    const answer = await ask(world, call, email);
    const tookMs = performance.now() - fromMs;
    const form = comparable(answer);
    forms.set(form, (forms.get(form) ?? 0) + 1);
    return tookMs;
  };
  for (const [index, known] of existing.entries()) {
    const unknown = missing[index] ?? "";
    if (draw() < 0.5) {
      const knownMs = await timeOf(known);
      times.push([knownMs, await timeOf(unknown)]);
    } else {
      const unknownMs = await timeOf(unknown);
      times.push([await timeOf(known), unknownMs]);
    }
  }
  tally.check(
    forms.size === 1,
    () => `there are ${String(forms.size)} different answers: ${[...forms.keys()].join("   ").slice(0, 500)}`,
  );
  const ofKnown = times.map(([known]) => known);
  const ofUnknown = times.map(([, unknown]) => unknown);
  const p = mannWhitney(ofKnown, ofUnknown);
  tally.check(p > pLeast, () => `the times differ: p ${p.toExponential(1)}`);
  const { gap, low, high } = pairedGap(times);
  const isNoise = low <= 0 && high >= 0;
  tally.check(
    Math.abs(gap) < gapMostMs,
    () =>
      `with an account it takes ${gap.toFixed(2)} ms longer${isNoise ? ", which may be noise: take more --calls" : ""}`,
  );
  return tally.outcome(
    `${String(calls)} + ${String(calls)}: p ${p.toFixed(3)}, median ${median(ofUnknown).toFixed(1)} ms, gap ${gap.toFixed(2)} ms (99 %: ${low.toFixed(2)} to ${high.toFixed(2)})`,
  );
}

function ask(world: World, { path, body }: Call, email: string): Promise<Answer> {
  const [a = 0, b = 0] = randomBytes(2);
  return send(world.direct("auth"), {
    method: "POST",
    path,
    headers: { origin: world.origin, "x-cx-csrf": "1", "x-forwarded-for": `10.${String(a)}.${String(b)}.7` },
    body: JSON.stringify(body(email)),
  });
}

/** Accounts like any other, with the hash of a real one: made by the API each would take a second. */
async function insertAccounts(world: World, count: number): Promise<readonly string[]> {
  const emails = Array.from(
    { length: count },
    (_none, index) => `p${String(index)}.${randomBytes(4).toString("hex")}@known.example.org`,
  );
  await world.query(
    `insert into auth.account (id, email, name, role, password_hash, created_at, language)
       select id, email, null, 'user', (select password_hash from auth.account where email = $3), now(), 'en'
         from unnest($1::uuid[], $2::text[]) as made(id, email)`,
    [emails.map(() => idToUuid(newId("acc"))), emails, world.operator.email],
  );
  return emails;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function lots(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const timing: Suite = {
  name: "timing",
  description: "does the time, a byte or a header tell who has an account? (SEC-15; minutes)",
  isDeterministic: false,
  run,
};
