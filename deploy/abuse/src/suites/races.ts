import { keyCreated } from "@codex/contracts";
import { eventually } from "@codex/testkit";
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { password, type Answer, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/** SEC-26, SEC-27 and their like: what is good once, used by many at the same moment, works once. */

const anything = z.unknown();
const newPassword = "another battery, another horse";
const ticketOf = z.looseObject({ secondFactor: z.looseObject({ ticket: z.string() }) });

interface Race {
  readonly what: string;
  /** Sets the stage; answers what each of the runners does. */
  prepare(world: World): Promise<(runner: number) => Promise<Answer>>;
}

const post = (
  browser: Visitor,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> => browser.askRaw({ method: "POST", path, body: JSON.stringify(body), headers });

const isDone = ({ status }: Answer): boolean => status < 300;

const races: readonly Race[] = [
  {
    what: "a link to a new password",
    async prepare(world) {
      const person = await world.customer();
      const nobody = person.another();
      await nobody.must(anything, "POST", "/api/auth/reset-link", { email: person.email });
      const token = await nobody.mailed("/reset");
      return (runner) => post(nobody, "/api/auth/reset", { token, password: `${newPassword} ${String(runner)}` });
    },
  },
  {
    what: "a link that proves an address",
    async prepare(world) {
      const person = world.stranger();
      const { consents } = await person.must(
        z.looseObject({ consents: z.array(z.unknown()) }),
        "GET",
        "/api/auth/registration",
      );
      await person.must(anything, "POST", "/api/auth/register", { email: person.email, password, consents });
      const token = await person.mailed("/verify");
      return () => post(person, "/api/auth/verify", { token, password });
    },
  },
  {
    what: "a link to sign in by",
    async prepare(world) {
      const person = await world.customer();
      const nobody = person.another();
      await nobody.must(anything, "POST", "/api/auth/sign-in-link", { email: person.email });
      const token = await nobody.mailed("/sign-in-link");
      return () => post(nobody, "/api/auth/sign-in/link", { token, password });
    },
  },
  {
    what: "a link to another address",
    async prepare(world) {
      const person = await world.customer();
      const email = world.stranger().email;
      await person.must(anything, "POST", "/api/auth/email", { email });
      const token = await person.mailed("/email", undefined, email);
      return () => post(person.another(), "/api/auth/email/confirm", { token });
    },
  },
  {
    what: "a code of an authenticator app",
    async prepare(world) {
      const person = await world.customer();
      await person.enrolTotp();
      const tickets = await ticketsOf(person, 20);
      const totp = person.totp();
      return (runner) =>
        post(person.another(), "/api/auth/sign-in/second-factor", {
          ticket: tickets[runner % tickets.length],
          proof: { totp },
        });
    },
  },
  {
    what: "a recovery code",
    async prepare(world) {
      const person = await world.customer();
      const [recoveryCode = ""] = await person.enrolTotp();
      const tickets = await ticketsOf(person, 20);
      return (runner) =>
        post(person.another(), "/api/auth/sign-in/second-factor", {
          ticket: tickets[runner % tickets.length],
          proof: { recoveryCode },
        });
    },
  },
  {
    what: "a key that is rolled",
    async prepare(world) {
      const person = await world.customer();
      const { key } = await person.must(keyCreated, "POST", "/api/keys", { name: "rolled" });
      return () => post(person, `/api/keys/${key.keyId}/roll`, { overlapSeconds: 60 });
    },
  },
  {
    what: "a voucher, by several accounts",
    async prepare(world) {
      const body = {
        count: 1,
        amount: "5",
        bucket: "bonus",
        expiresAt: null,
        maxPerAccount: 1,
        note: "",
        reason: "abuse",
      };
      const headers = { "idempotency-key": randomBytes(16).toString("hex") };
      const issued = z.looseObject({ codes: z.array(z.string()) });
      const { codes } = await world.operator.must(
        issued,
        "POST",
        "/api/billing/operator/voucher-batches",
        body,
        headers,
      );
      const people = [await world.customer(), await world.customer(), await world.customer()];
      return (runner) =>
        post(people[runner % people.length] ?? world.operator, "/api/billing/vouchers/redeem", { code: codes[0] });
    },
  },
];

/** First steps of signing in; each has passed the password, one after the other, because failures are what is counted. */
async function ticketsOf(person: Visitor, count: number): Promise<readonly string[]> {
  const tickets: string[] = [];
  while (tickets.length < count) {
    const { secondFactor } = await person
      .another()
      .must(ticketOf, "POST", "/api/auth/sign-in", { email: person.email, password });
    tickets.push(secondFactor.ticket);
  }
  return tickets;
}

const replayed = z.looseObject({ replayed: z.literal(true) });
/** The same account may be told again what it had before; nothing moves by that. */
const isReplay = ({ text }: Answer): boolean => replayed.safeParse(safeJson(text)).success;

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function run(world: World, { parallel }: SuiteOptions): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { what, prepare } of races) {
    const tally = new Tally(`SEC-27 used ${String(parallel)} times at once: ${what}`);
    const runner = await prepare(world);
    const answers = await Promise.all(Array.from({ length: parallel }, (_none, index) => runner(index)));
    const winners = answers.filter((answer) => isDone(answer) && !isReplay(answer)).length;
    tally.check(winners === 1, () => `${String(winners)} of ${String(parallel)} won`);
    for (const { status, text } of answers)
      tally.check(status < 500 || status === 503, () => `answered ${String(status)}: ${text}`);
    // Whoever was told to come back later finds it used.
    const late = await eventually(
      async () => {
        const answer = await runner(0);
        return answer.status === 503 ? undefined : answer;
      },
      { timeoutMs: 60_000, what: "an answer after the race" },
    );
    tally.check(!isDone(late) || isReplay(late), () => `it works again afterwards: ${late.text}`);
    outcomes.push(tally.outcome(`${String(winners)} won`));
  }
  return outcomes;
}

export const oneTime: Suite = {
  name: "races",
  description: "links, codes, keys and vouchers that are good once, by many at the same moment (SEC-26, SEC-27)",
  isDeterministic: true,
  run,
};
