import fc from "fast-check";
import { leakIn, problemFormOf } from "../checks.ts";
import { casesOf, type Case } from "../requests.ts";
import { hashesPassword, targets, type Target } from "../routes.ts";
import { ownUpstream } from "../schema-values.ts";
import { each, Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { codeOf, send, type Answer, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";
import { fuzzV1 } from "./fuzz-v1.ts";

/**
 * SEC-140, SEC-110, SEC-111, SEC-86, SEC-09. Requests drawn from our own OpenAPI documents, good and hostile, to every route of
 * every service: a clear refusal or an answer that the document names, none of our insides in it, and afterwards the same
 * processes with clean prototypes, the same roles in the database, and no statement that Postgres could not parse.
 */

const proofEveryMs = 120_000;

/** Who sends: a customer or an operator, made anew when a request has ended the session. */
class Sender {
  private readonly world: World;
  private customer: Visitor;
  private readonly provedAtMs = new Map<Visitor, number>();

  constructor(world: World, customer: Visitor) {
    this.world = world;
    this.customer = customer;
    for (const who of [customer, world.operator]) this.provedAtMs.set(who, 0);
  }

  /** With a fresh proof, so that no route stops at the door. */
  async of({ route }: Target): Promise<Visitor | undefined> {
    if (route.auth === "operator") return this.proved(this.world.operator);
    if (route.auth !== "session") return undefined;
    if ((await this.customer.ask("GET", "/api/auth/me")).status !== 200) {
      this.customer = await this.world.customer();
      this.provedAtMs.set(this.customer, performance.now());
    }
    return this.proved(this.customer);
  }

  private async proved(who: Visitor): Promise<Visitor> {
    if (performance.now() - (this.provedAtMs.get(who) ?? 0) < proofEveryMs) return who;
    await who.prove();
    this.provedAtMs.set(who, performance.now());
    return who;
  }
}

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const sender = new Sender(world, await world.customer());
  const insides = new Tally("SEC-09 no 5xx, and nothing of our insides in any answer");
  const form = new Tally("SEC-09 every refusal has the one form");
  const named = new Tally("SEC-140 every answer is one that the document names");
  const strict = new Tally("SEC-110 a field that no client may write is refused");
  const secrets = secretsOf(world);
  for (const [index, target] of targets.entries()) {
    // One that reaches past its hash costs a third of a second.
    const count = hashesPassword.has(target.route.operationId) ? Math.min(options.cases, 30) : options.cases;
    const cases = fc.sample(casesOf(target), { seed: options.seed + index, numRuns: count });
    const who = await sender.of(target);
    const cookie = who?.session;
    await each(cases, 8, async (one) => {
      const answer = await ask(world, one, cookie);
      const said = (what: string): string =>
        `${what}: ${describe(target, one)} answered ${String(answer.status)} ${answer.text.slice(0, 300)}`;
      insides.check(answer.status < 500 || codeOf(answer) === "overloaded", () => said("5xx"));
      const leak = leakIn(
        answer,
        secrets,
        target.route.auth === "operator" ? [world.demoUpstreamUrl, ownUpstream] : [],
      );
      insides.check(leak === undefined, () => said(leak ?? ""));
      const wrong = problemFormOf(answer);
      form.check(wrong === undefined, () => said(wrong ?? ""));
      named.check(isNamed(target, answer), () => said("not in the document"));
      if (one.kind === "extra") strict.check(answer.status >= 400, () => said("was taken"));
    });
  }
  const v1 = await fuzzV1(world, options, secrets);
  return [
    insides.outcome(`${String(targets.length)} routes`),
    form.outcome(),
    named.outcome(),
    strict.outcome(),
    ...v1,
    await afterwards(world),
  ];
}

function secretsOf(world: World): readonly string[] {
  return [
    "auth.AUTH_SIGNING_SECRET",
    "auth.AUTH_PASSWORD_PEPPER",
    "auth.AUTH_THROTTLE_KEY",
    "auth.AUTH_DATA_KEY",
    "gateway-proxy.GATEWAY_CHANNEL_KEY",
    "billing-ledger.BILLING_RECEIPT_KEY",
  ].map((name) => world.secret(name));
}

function ask(world: World, { ask: given }: Case, cookie: string | undefined): Promise<Answer> {
  const page = { origin: world.origin, "x-cx-csrf": "1", ...(cookie === undefined ? {} : { cookie }) };
  return send(world.pool, { ...given, headers: { ...page, ...given.headers } });
}

/** 405 and 404 of the router: a path that was broken on purpose may name another route or none. */
function isNamed({ statuses }: Target, answer: Answer): boolean {
  const code = codeOf(answer);
  return statuses.has(answer.status) || code === "route_not_found" || code === "method_not_allowed";
}

function describe(target: Target, { what, ask: { path, headers = {}, body } }: Case): string {
  const text = typeof body === "string" ? body : body === undefined ? "" : Buffer.from(body).toString("hex");
  return `${target.name} (${what}) ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 200)} ${JSON.stringify(text.slice(0, 300))}`;
}

async function afterwards(world: World): Promise<Outcome> {
  const tally = new Tally(
    "SEC-111, SEC-09 the same processes afterwards, prototypes clean, roles and SQL as they were",
  );
  for (const { name, isSameProcess, added } of await world.prototypes()) {
    tally.check(isSameProcess, () => `${name} is another process now`);
    tally.check(added.length === 0, () => `every object of ${name} inherits ${added.join(", ")}`);
  }
  const staff = await world.query<{ email: string }>("select email from auth.account where role = 'admin'");
  // The administrator of the world, and the one that the suite of access makes to see that it is nobody.
  const made = staff.filter(({ email }) => !/^person\d+\.[0-9a-f]{8}@example\.org$/.test(email));
  tally.check(made.length === 0, () => `administrators came to be: ${made.map(({ email }) => email).join(", ")}`);
  const postgres = world.logs().get("postgres") ?? "";
  const unparsed = /ERROR: {2}(?:syntax error|unterminated|invalid byte sequence|operator does not exist).*/.exec(
    postgres,
  );
  tally.check(unparsed === null, () => `Postgres was sent what it could not parse: ${unparsed?.[0] ?? ""}`);
  for (const [name, text] of world.logs()) {
    const crash = /uncaughtException|unhandledRejection|unhandled rejection|heap out of memory/i.exec(text);
    tally.check(crash === null, () => `the log of ${name} tells of ${crash?.[0] ?? ""}`);
  }
  return tally.outcome();
}

export const fuzz: Suite = {
  name: "fuzz",
  description:
    "good and hostile requests drawn from our OpenAPI documents, to every route (SEC-140, SEC-110, SEC-111, SEC-86, SEC-09)",
  isDeterministic: true,
  run,
};
