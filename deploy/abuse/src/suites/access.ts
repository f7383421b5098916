import { z } from "zod";
import { anyPathOf, idempotencyHeader, isGuarded, leastBodyOf, targets, type Target } from "../routes.ts";
import { Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { codeOf, password, send, type Answer, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/** SEC-01. Every route by everybody who may not use it, and every path of the registry by every verb that it does not declare. */

const verbs = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] as const;
const roles = ["support", "finance"] as const;

interface Caller {
  readonly name: string;
  readonly role: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const customer = await world.customer();
  const callers = await callersOf(world, customer);
  const refused = new Tally("SEC-01 who may not use a route is refused");
  for (const target of targets.filter((one) => isGuarded(one) || one.route.auth === "internal"))
    for (const caller of callers) {
      if (isAllowed(target, caller.role)) continue;
      const answer = await call(world, target, caller, options.seed);
      refused.check(
        [401, 403, 404].includes(answer.status),
        () => `${target.name} answered ${caller.name} ${String(answer.status)}: ${answer.text}`,
      );
    }
  const undeclared = new Tally("SEC-01 verbs that no route declares are not served");
  for (const [path, sharing] of Map.groupBy(targets, ({ route }) => route.path)) {
    const [first] = sharing;
    if (!first) continue;
    for (const method of verbs.filter((verb) => !isServed(verb, path))) {
      const answer = await customer.askRaw({ method, path: anyPathOf(first, options.seed), body: "{}" });
      undeclared.check(answer.status === 405, () => `${method} ${path} answered ${String(answer.status)}`);
    }
  }
  const known = new Tally("SEC-01 and who may is not");
  for (const target of targets.filter(({ route }) => route.auth === "operator")) {
    const answer = await call(world, target, operatorOf(world.operator), options.seed);
    known.check(
      codeOf(answer) !== "forbidden" && codeOf(answer) !== "session_required",
      () => `${target.name} refused the administrator: ${answer.text}`,
    );
  }
  return [refused.outcome(), undeclared.outcome(), known.outcome()];
}

/** By its own route, or by one that has a parameter where this path has a word. */
function isServed(method: string, path: string): boolean {
  return targets.some(
    ({ route }) => route.method === method && new RegExp(`^${route.path.replaceAll(/:\w+/g, "[^/]+")}$`).test(path),
  );
}

const page = (world: World): Readonly<Record<string, string>> => ({ origin: world.origin, "x-cx-csrf": "1" });

async function callersOf(world: World, customer: Visitor): Promise<readonly Caller[]> {
  const as = (name: string, role: string, headers: Readonly<Record<string, string>>): Caller => ({
    name,
    role,
    headers: { ...page(world), ...headers },
  });
  const staff: Caller[] = [];
  for (const role of roles) {
    const person = await world.customer();
    await world.grantRole(person.email, role);
    await person.signIn();
    await person.enrolTotp();
    staff.push(as(`an operator of role ${role}`, role, { cookie: person.session }));
  }
  // An administrator without a second factor is nobody (SEC-25).
  const bare = await world.customer();
  await world.grantRole(bare.email, "admin");
  await bare.must(anything, "POST", "/api/auth/sign-in", { email: bare.email, password });
  return [
    as("nobody", "nobody", {}),
    as("a made-up cookie", "nobody", { cookie: "__Host-cx=eyJhbGciOiJub25lIn0.e30." }),
    as("identity headers", "nobody", {
      "x-account-id": customer.accountId,
      "x-user-role": "admin",
      "x-session-id": "ses_1",
    }),
    as("an API key", "nobody", { authorization: "Bearer cx_live_0000" }),
    as("a customer", "user", { cookie: customer.session }),
    as("an administrator without a second factor", "user", { cookie: bare.session }),
    ...staff,
  ];
}

const operatorOf = (operator: Visitor): Caller => ({
  name: "an administrator",
  role: "admin",
  headers: { origin: operator.origin, "x-cx-csrf": "1", cookie: operator.session },
});

function isAllowed({ route }: Target, role: string): boolean {
  if (route.auth === "session") return role !== "nobody";
  return route.auth === "operator" && (route.roles ?? ["admin"]).some((one) => one === role);
}

function call(world: World, target: Target, caller: Caller, seed: number): Promise<Answer> {
  const body = leastBodyOf(target, seed);
  // Refused before anything is read: a body that would be refused as well must not hide that.
  const headers = { ...caller.headers, ...idempotencyHeader(target, `access-${String(seed)}`) };
  return send(world.pool, {
    method: target.route.method,
    path: anyPathOf(target, seed),
    headers,
    ...(target.route.method === "GET" || body === undefined || caller.role === "admin" ? {} : { body }),
  });
}

const anything = z.unknown();

export const access: Suite = {
  name: "access",
  description: "every route by everybody who may not use it, every path by every verb (SEC-01, SEC-04, SEC-25)",
  isDeterministic: true,
  run,
};
