import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { valuesOf } from "../schema-values.ts";
import { anyOf, hashesPassword, idempotencyHeader, pathParameters, pathWith, targets, type Target } from "../routes.ts";
import { Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import type { Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-06. sqlmap (GPL-2.0, a program of its own, Debian's package `sqlmap`) at every parameter in path, query and body of every
 * route, at the cookie, and at the headers that carry an API key. It finds nothing, and Postgres hears no statement that it
 * cannot parse: whoever breaks out of a value shows in its log even where the answer tells nothing. That sqlmap with these flags
 * does find an injection is seen first, at a server made for it.
 */

const run = promisify(execFile);
const program = "sqlmap";
/** Of one route; what is cut off by it is a finding, because it was not tried. */
const routeMsMax = 300_000;
const atOnce = 2;

/** Ends the session that the others need. What hashes a password for each of some thousand requests is left out too. */
const endsSession = new Set(["signOut", "endSession", "endOtherSessions", "deleteAccount"]);
const isLeftOut = ({ route }: Target): boolean =>
  endsSession.has(route.operationId) || hashesPassword.has(route.operationId);

/** Where sqlmap is to try its texts, in what it is given. */
const mark = "*";

async function runSuite(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  if (!(await isThere()))
    return [{ what: "SEC-06 sqlmap", tried: 0, findings: [], figures: "NOT RUN: there is no sqlmap on this machine" }];
  const folder = mkdtempSync(path.join(tmpdir(), "abuse-sqlmap-"));
  try {
    const control = new Tally("SEC-06 sqlmap finds an injection that is there");
    const planted = await attackPlanted(world, folder);
    control.check(planted.startsWith("found"), () => planted);
    const parsedBefore = unparsed(world).length;
    const injectable = new Tally("SEC-06 sqlmap at every parameter of every route: none is injectable");
    const requests = await requestsOf(world, options);
    const queue = requests.values();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const [name, text] of queue) {
          options.log(`sqlmap: ${name}`);
          const said = await attack(folder, name, text);
          injectable.check(said === nothing, () => `${name}: ${said}`);
        }
      }),
    );
    const parsed = new Tally("SEC-06 and Postgres could parse every statement");
    const broken = unparsed(world).slice(parsedBefore);
    parsed.check(broken.length === 0, () => broken.slice(0, 3).join("; "));
    return [
      control.outcome(),
      injectable.outcome(`${String(requests.length)} requests with parameters`),
      parsed.outcome(),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function isThere(): Promise<boolean> {
  try {
    await run(program, ["--version"], { timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}

async function requestsOf(world: World, { seed }: SuiteOptions): Promise<readonly (readonly [string, string])[]> {
  const customer = await world.customer();
  await world.operator.prove();
  const { host } = new URL(world.origin);
  const ofRoutes = targets
    .filter((target) => !isLeftOut(target) && hasInput(target))
    .map((target) => {
      const who = target.route.auth === "operator" ? world.operator : customer;
      return [target.name, requestText(world, host, target, who, seed)] as const;
    });
  const ofKeys = ["authorization: Bearer cdx_live_*", "x-api-key: *", "cookie: __Host-cx=*"].map(
    (header) => [`GET /v1/models with ${header}`, head(host, "GET", "/v1/models", [header])] as const,
  );
  return [...ofRoutes, ...ofKeys];
}

const hasInput = (target: Target): boolean =>
  target.body !== undefined || target.parameters.some((one) => one.in !== "header");

/** As it goes over the wire; each value that a client chooses is marked. */
function requestText(world: World, host: string, target: Target, who: Visitor, seed: number): string {
  const { route, parameters, body } = target;
  const values = new Map(pathParameters(target).map(({ name, schema }) => [name, String(anyOf(schema, seed))]));
  const query = parameters.filter((one) => one.in === "query").map(({ name }) => `${name}=1${mark}`);
  const whole = pathWith(route.path, (name) => `${values.get(name) ?? "x"}${mark}`);
  const headers = [
    `origin: ${world.origin}`,
    "x-cx-csrf: 1",
    `cookie: ${who.session}`,
    ...Object.entries(idempotencyHeader(target, "sqlmap")).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : ["content-type: application/json"]),
  ];
  const start = head(host, route.method, query.length === 0 ? whole : `${whole}?${query.join("&")}`, headers);
  if (body === undefined) return start;
  return start + markedBody(body, seed);
}

/** The shortest body that has a text in it, and where there is none the shortest of all: then its other values. */
function markedBody(schema: NonNullable<Target["body"]>, seed: number): string {
  const bodies = [anyOf(schema, seed), ...fc.sample(valuesOf(schema), { seed, numRuns: 100 })];
  for (const isMarked of [isText, isScalar]) {
    const texts = bodies.map((body) => JSON.stringify(marked(body, isMarked))).filter((text) => text.includes(mark));
    // Each value takes some hundred requests.
    const [shortest] = texts.toSorted((a, b) => a.length - b.length);
    if (shortest !== undefined) return shortest;
  }
  throw new Error("a body without values");
}

function head(host: string, method: string, target: string, headers: readonly string[]): string {
  return [`${method} ${target} HTTP/1.1`, `host: ${host}`, ...headers, "", ""].join("\r\n");
}

const isText = (value: unknown): boolean => typeof value === "string";
/** Where the least body has no text at all. */
const isScalar = (value: unknown): boolean => value === null || typeof value !== "object";

function marked(value: unknown, isMarked: (value: unknown) => boolean): unknown {
  if (isMarked(value)) return String(value).replaceAll(mark, "") + mark;
  if (Array.isArray(value)) return value.map((inner) => marked(inner, isMarked));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, marked(inner, isMarked)]));
}

const nothing = "nothing";

/** What it said: "found …", {@link nothing}, or why it came to no end. */
async function attack(folder: string, name: string, request: string): Promise<string> {
  const own = path.join(folder, name.replaceAll(/\W+/g, "-"));
  mkdirSync(own, { recursive: true });
  const file = path.join(own, "request.txt");
  writeFileSync(file, request);
  // Boolean, error, union and inline queries; those by time would hold the database's few connections for the others.
  const flags = ["--batch", "--dbms=postgresql", "--technique=BEUQ", "--level=1", "--risk=1"];
  const manner = [
    "--ignore-stdin",
    "--disable-coloring",
    "--flush-session",
    "--ignore-code=*",
    "--timeout=30",
    "--retries=1",
  ];
  try {
    const { stdout } = await run(program, ["-r", file, `--output-dir=${own}`, ...flags, ...manner], {
      timeout: routeMsMax,
      maxBuffer: 33_554_432,
    });
    if (/identified the following injection point|is vulnerable/.test(stdout)) return `found ${stdout.slice(-1_000)}`;
    if (/do(?:es)? not (?:appear|seem) to be injectable/.test(stdout)) return nothing;
    return `no end: ${stdout.slice(-500)}`;
  } catch (error) {
    return `no end: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`;
  }
}

/** At a server with the mistake that the services must not have. */
async function attackPlanted(world: World, folder: string): Promise<string> {
  const server = createServer((req, res) => {
    const name = new URL(req.url ?? "/", world.origin).searchParams.get("name") ?? "";
    // eslint-disable-next-line -- the mistake itself, planted so that the suite is seen to find it
    const work = world.query("select role from auth.account where role = '" + name + "' limit 1");
    work.then(
      (rows) => res.end(JSON.stringify(rows)),
      (error: unknown) => res.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await attack(folder, "planted", head(`127.0.0.1:${String(port)}`, "GET", `/?name=admin${mark}`, []));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function unparsed(world: World): readonly string[] {
  const log = world.logs().get("postgres") ?? "";
  return [...log.matchAll(/ERROR: {2}(?:syntax error|unterminated|operator does not exist).*/g)].map(([line]) => line);
}

export const sqlmap: Suite = {
  name: "sqlmap",
  description: "sqlmap at every parameter of every route, where it is installed (SEC-06; minutes)",
  isDeterministic: false,
  run: runSuite,
};
