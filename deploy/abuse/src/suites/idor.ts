import { belongings, makeObjects, type Objects } from "../objects.ts";
import { idempotencyHeader, leastBodyOf, pathParameters, pathWith, targets, type Target } from "../routes.ts";
import { Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { comparable, send, type Answer, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-02. A stranger, signed in and with a fresh proof, names what is another's, and what nobody has: every route of the
 * registry with an object in its path, by every verb, and every route with one in its body. The two answers must be the same
 * in every byte, and the declared verb must get as far as looking for the object (404): else the matrix would compare refusals
 * that came before.
 */

const verbs = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] as const;

/** Bodies that name an object, which no path says. */
const inBodies: readonly {
  readonly name: string;
  readonly object: string;
  body(id: string): unknown;
  readonly expected: number;
}[] = [
  {
    name: "POST /api/billing/disputes",
    object: "billing-ledger requestId",
    body: (requestId) => ({ requestId, reason: "other", text: "why?" }),
    expected: 404,
  },
  // Revoking what is not there is done already: the answer lists what was one's own.
  { name: "POST /api/keys/revoke", object: "key-registry keyId", body: (id) => ({ keyIds: [id] }), expected: 200 },
];

/** Where the document allows less than the service. */
const bodies: Readonly<Record<string, unknown>> = { "PATCH /api/keys/:keyId": { name: "taken over" } };

const readers: Readonly<Record<string, string>> = {
  "GET /api/billing/statements/:month": "every account has every month",
};

interface Stage {
  readonly stranger: Visitor;
  readonly objects: Objects;
  readonly options: SuiteOptions;
}

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const owner = await world.customer();
  const objects = await makeObjects(world, owner);
  const stranger = await world.customer();
  const stage = { stranger, objects, options };
  const before = await belongings(world, owner.accountId);
  const foreign = new Tally("SEC-02 foreign objects answer as missing ones, byte by byte");
  const reached = new Tally("SEC-02 and the route looked for them");
  for (const target of targets.filter((one) => pathParameters(one).length > 0 && readers[one.name] === undefined))
    await tryRoute(stage, target, foreign, reached);
  for (const named of inBodies) await tryBody(stage, named, foreign, reached);
  await tryGeneration(world, stage, foreign);
  const untouched = new Tally("SEC-02 the owner's rows are as before");
  untouched.check((await belongings(world, owner.accountId)) === before, () => "a stranger changed them");
  const own = new Tally("SEC-02 the owner reads them");
  await readOwn(owner, objects, own);
  return [foreign.outcome(), reached.outcome(), untouched.outcome(), own.outcome()];
}

async function tryRoute(
  { stranger, objects, options }: Stage,
  target: Target,
  foreign: Tally,
  reached: Tally,
): Promise<void> {
  const { service, route } = target;
  const unknown = pathParameters(target).filter(({ name }) => !objects.real.has(`${service} ${name}`));
  reached.check(
    unknown.length === 0,
    () => `${target.name}: no object for ${unknown.map(({ name }) => name).join(", ")}; add one to objects.ts`,
  );
  if (unknown.length > 0) return;
  const known = bodies[target.name];
  const body = known === undefined ? leastBodyOf(target, options.seed) : JSON.stringify(known);
  for (const method of verbs) {
    const ask = (ids: ReadonlyMap<string, string>): Promise<Answer> => {
      const path = pathWith(route.path, (name) => ids.get(`${service} ${name}`) ?? "");
      const headers = idempotencyHeader(target, `abuse-${String(options.seed)}-${method}`);
      const sent = method === "GET" || method === "HEAD" ? undefined : body;
      return stranger.askRaw({ method, path, headers, ...(sent === undefined ? {} : { body: sent }) });
    };
    const [real, missing] = [await ask(objects.real), await ask(objects.missing)];
    foreign.check(
      comparable(real) === comparable(missing),
      () => `${method} ${route.path}: ${comparable(real)} but ${comparable(missing)}`,
    );
    if (method !== route.method) continue;
    const expected = route.auth === "operator" ? 403 : 404;
    reached.check(
      real.status === expected,
      () => `${target.name} answered ${String(real.status)}, not ${String(expected)}: ${real.text}`,
    );
  }
}

async function tryBody(
  { stranger, objects, options }: Stage,
  named: (typeof inBodies)[number],
  foreign: Tally,
  reached: Tally,
): Promise<void> {
  const target = targets.find(({ name }) => name === named.name);
  if (!target) throw new Error(`there is no route ${named.name} any more`);
  const ask = (ids: ReadonlyMap<string, string>, key: string): Promise<Answer> =>
    stranger.askRaw({
      method: target.route.method,
      path: target.route.path,
      headers: idempotencyHeader(target, `abuse-${String(options.seed)}-${key}`),
      body: JSON.stringify(named.body(ids.get(named.object) ?? "")),
    });
  const [real, missing] = [await ask(objects.real, "real"), await ask(objects.missing, "missing")];
  foreign.check(
    comparable(real) === comparable(missing),
    () => `${named.name}: ${comparable(real)} but ${comparable(missing)}`,
  );
  reached.check(real.status === named.expected, () => `${named.name} answered ${String(real.status)}: ${real.text}`);
}

/** The one route of /v1 that names an object: what one key asked is nothing to another's. */
async function tryGeneration(world: World, { stranger, objects }: Stage, foreign: Tally): Promise<void> {
  const { secret } = await newKey(stranger);
  const ask = (ids: ReadonlyMap<string, string>): Promise<Answer> => {
    const path = `/v1/generation?id=${ids.get("billing-ledger requestId") ?? ""}`;
    return send(world.pool, { method: "GET", path, headers: { authorization: `Bearer ${secret}` } });
  };
  const [real, missing] = [await ask(objects.real), await ask(objects.missing)];
  const limits = ({ status, text }: Answer): string => comparable({ status, headers: {}, text });
  foreign.check(
    real.status === 404 && limits(real) === limits(missing),
    () => `GET /v1/generation: ${real.text} but ${missing.text}`,
  );
}

async function newKey(stranger: Visitor): Promise<{ readonly secret: string }> {
  const answer = await stranger.ask("POST", "/api/keys", { name: "stranger" });
  return JSON.parse(answer.text) as { secret: string };
}

/** The ids are real, and it is the stranger that is refused. */
async function readOwn(owner: Visitor, objects: Objects, own: Tally): Promise<void> {
  for (const target of targets) {
    const { service, route } = target;
    if (route.method !== "GET" || route.auth !== "session" || pathParameters(target).length === 0) continue;
    if (readers[target.name] !== undefined) continue;
    const path = pathWith(route.path, (name) => objects.real.get(`${service} ${name}`) ?? "");
    const answer = await owner.ask("GET", path);
    own.check(
      answer.status === 200,
      () => `${target.name} answered its owner ${String(answer.status)}: ${answer.text}`,
    );
  }
}

export const idor: Suite = {
  name: "idor",
  description: "two customers, every object of every route, every verb: foreign answers as missing (SEC-02)",
  isDeterministic: true,
  run,
};
