import { authSchema } from "@codex/auth";
import { connectBus, type Bus } from "@codex/bus";
import { grantCommand } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { eventually, freePort } from "@codex/testkit";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { Pool } from "undici";
import { z } from "zod";
import { startWatchdog, type Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { startChild, type Child } from "../../bench-gateway/src/child.ts";
import { passedEnvironment } from "../../bench-gateway/src/config.ts";
import { edgeName, gatewayName, programOf, services, type ServiceDef, type Wiring } from "../../local/services.ts";
import { startWorld as startBoundary, type World as Boundary } from "../../setup/permissions/world.ts";
import { schemas } from "../../setup/src/config.ts";
import { root } from "./config.ts";
import { Visitor } from "./visitor.ts";

/**
 * The whole platform as local mode starts it, each service a process with the rights of its service, on servers of our own.
 * What is attacked is what is delivered: the compiled programs, through the edge.
 */

const run = promisify(execFile);
const toolTimeoutMs = 60_000;
/** What one account of a suite can spend, in micro-tokens. */
const playMicroTokens = 100_000_000n;

export interface Process {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
}

export interface World {
  /** As browsers see it. */
  readonly origin: string;
  /** To the edge. */
  readonly pool: Pool;
  readonly servers: Boundary;
  readonly processes: readonly Process[];
  /** The first administrator, with a second factor. */
  readonly operator: Visitor;
  readonly demoUpstreamUrl: string;
  /** Of a service, by the name of its variable: "auth.AUTH_SIGNING_SECRET". */
  secret(name: string): string;
  /** Another customer with a session. */
  customer(): Promise<Visitor>;
  /** A browser that nobody has used yet. */
  stranger(email?: string): Visitor;
  /** Money for an account, by the command that other services send. */
  fund(owner: Visitor): Promise<void>;
  /** Gives the account a role; every session of it ends. */
  grantRole(email: string, role: string): Promise<void>;
  /** As superuser, in the one database. */
  query<Row extends Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** A pool to one service itself, past the edge; closed with the world. */
  direct(service: string): Pool;
  /** Everything that the services and the servers have written to their logs. */
  logs(): ReadonlyMap<string, string>;
  /** What objects inherit in each process, and whether it is the one that was started. */
  prototypes(): Promise<readonly PrototypeReport[]>;
  stop(): Promise<void>;
}

export interface PrototypeReport {
  readonly name: string;
  readonly isSameProcess: boolean;
  readonly added: readonly string[];
}

export async function startWorld(): Promise<World> {
  const servers = await startBoundary();
  const closers: (() => Promise<unknown>)[] = [() => servers.stop()];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await build(servers, closers, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  servers: Boundary,
  closers: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<World> {
  const logs = path.join(servers.dataDir, "services");
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const wiring = await wire(servers);
  const watchdog = startWatchdog([]);
  closers.push(() => Promise.resolve(watchdog.release()));
  await importPrices(wiring);
  const processes = await startServices(wiring, logs, watchdog, closers);
  const pool = new Pool(wiring.url(edgeName), { connections: 64 });
  closers.push(() => pool.destroy());
  const bus = await connectBus({ servers: [servers.admin.nats], name: "abuse" }, { logger: quiet, source: "abuse" });
  closers.push(() => bus.drain());
  const database = new pg.Pool({ connectionString: servers.adminPostgresUrl, max: 4 });
  database.on("error", () => undefined);
  closers.push(() => database.end());
  const directs = new Map<string, Pool>();
  closers.push(() => Promise.all([...directs.values()].map((one) => one.destroy())));
  let people = 0;
  const stranger = (email?: string): Visitor => {
    people += 1;
    return new Visitor(
      pool,
      wiring.publicOrigin,
      email ?? `person${String(people)}.${randomBytes(4).toString("hex")}@example.org`,
    );
  };
  const grantRole = async (email: string, role: string): Promise<void> => {
    const program = programOf(root, serviceOf("auth"), "dist/grant-role.js");
    const env = { ...passedEnvironment(), DATABASE_URL: wiring.databaseUrl(authSchema, "app") };
    await run(process.execPath, [program, "--email", email, "--role", role], { env, timeout: toolTimeoutMs });
  };
  const operator = stranger();
  await makeOperator(operator, grantRole);
  return {
    origin: wiring.publicOrigin,
    pool,
    servers,
    processes,
    operator,
    demoUpstreamUrl: wiring.url("demo-upstream"),
    secret: wiring.secret,
    customer: () => stranger().register(),
    stranger,
    fund: (owner) => fund(bus, owner),
    grantRole,
    query: async <Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []) =>
      (await database.query<Row>(text, [...values])).rows,
    direct(service) {
      const known = directs.get(service) ?? new Pool(wiring.url(service), { connections: 64 });
      directs.set(service, known);
      return known;
    },
    logs: () => readLogs([logs, path.join(servers.dataDir, "logs")]),
    prototypes: () => askPrototypes(processes, logs),
    stop,
  };
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The table of local mode, with ports, passwords and secrets of this run. */
async function wire(servers: Boundary): Promise<Wiring> {
  const ports = new Map<string, number>();
  for (const { name } of services)
    for (const which of ["http", "admin"]) ports.set(`${name}.${which}`, await freePort());
  const secrets = new Map<string, string>();
  const port = (name: string): number => {
    const found = ports.get(name);
    if (found === undefined) throw new Error(`no port for ${name}`);
    return found;
  };
  return {
    publicOrigin: `http://localhost:${String(port(`${edgeName}.http`))}`,
    natsUrl: servers.natsUrl,
    redisUrl: servers.redisUrl,
    dataFolder: (name) => {
      const folder = path.join(servers.dataDir, name);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return folder;
    },
    databaseUrl: (schema, role) => {
      const known = schemas.find((one) => one === schema);
      if (known === undefined) throw new Error(`no schema ${schema}`);
      return servers.postgresUrl(known, role);
    },
    secret: (name) => {
      const known = secrets.get(name) ?? randomBytes(32).toString("base64url");
      secrets.set(name, known);
      return known;
    },
    url: (name) => `http://127.0.0.1:${String(port(`${name}.http`))}`,
    port,
  };
}

function serviceOf(name: string): ServiceDef {
  const found = services.find((definition) => definition.name === name);
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

async function importPrices(wiring: Wiring): Promise<void> {
  const billing = serviceOf("billing-ledger");
  const prices = path.join(root, "deploy/local/demo-prices.json");
  const env = { ...passedEnvironment(), ...billing.env(wiring) };
  await run(process.execPath, [programOf(root, billing, "dist/import-prices.js"), prices], {
    env,
    timeout: toolTimeoutMs,
  });
}

async function startServices(
  wiring: Wiring,
  logs: string,
  watchdog: Watchdog,
  closers: (() => Promise<unknown>)[],
): Promise<readonly Process[]> {
  const children: Child[] = [];
  // Together: each waits some seconds for what it still has to tell.
  closers.push(() => Promise.all(children.map((child) => child.stop())));
  const processes: Process[] = [];
  for (const wave of [1, 2, 3]) {
    const started = services
      .filter((definition) => definition.wave === wave)
      .map(async (definition) => {
        const { name, adminPort, readyPath } = definition;
        const probe = wiring.port(`${name}.${adminPort === undefined ? "http" : "admin"}`);
        const child = await startChild(
          {
            name,
            command: process.execPath,
            args: [
              "--enable-source-maps",
              "--import",
              path.join(import.meta.dirname, "prototype-watch.mjs"),
              programOf(root, definition),
            ],
            env: { ...definition.env(wiring), ...settingsOf(name, logs, wiring) },
            logFile: path.join(logs, `${name}.log`),
            readyUrl: `http://127.0.0.1:${String(probe)}${readyPath}`,
          },
          watchdog,
        );
        children.push(child);
        processes.push({ name, pid: child.pid, url: wiring.url(name) });
      });
    await Promise.all(started);
  }
  return processes;
}

/** Beside the table: what an attacker would only have to wait for. */
function settingsOf(name: string, logs: string, wiring: Wiring): Readonly<Record<string, string>> {
  return {
    // Undeclared codes are a 500 then, which every suite takes for a finding.
    NODE_ENV: "development",
    SHUTDOWN_GRACE_MS: "0",
    ABUSE_PROTOTYPE_FILE: prototypeFile(logs, name),
    ...(name === "auth" ? { AUTH_MAILS_PER_NETWORK_PER_HOUR: "100000" } : {}),
    ...(name === gatewayName
      ? { GATEWAY_REQUESTS_PER_MINUTE: "1000000", GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "1000000" }
      : {}),
    // Repeat display is a way to somebody's key, so it is on here.
    ...(name === "key-registry" ? { KEY_DISPLAY_KEY: wiring.secret("key-registry.KEY_DISPLAY_KEY") } : {}),
    ...(name === "billing-ledger" ? { USAGE_ROUND_MS: "100" } : {}),
  };
}

const prototypeFile = (logs: string, name: string): string => path.join(logs, `${name}.prototype.json`);

async function makeOperator(operator: Visitor, grantRole: World["grantRole"]): Promise<void> {
  await operator.register();
  await grantRole(operator.email, "admin");
  await operator.signIn();
  await operator.enrolTotp();
}

const balance = z.looseObject({ available: z.string() });

async function fund(bus: Bus, owner: Visitor): Promise<void> {
  const { accountId } = owner;
  const idempotencyKey = newId("evt");
  await bus.publish(grantCommand, {
    params: { accountId },
    data: { accountId, bucket: "paid", amountMicroTokens: playMicroTokens, reason: "operator_grant", idempotencyKey },
  });
  const booked = async (): Promise<boolean> =>
    (await owner.must(balance, "GET", "/api/billing/balance")).available !== "0";
  await eventually(booked, { timeoutMs: 60_000, what: "the grant to be booked" });
}

function readLogs(folders: readonly string[]): ReadonlyMap<string, string> {
  const files = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".log"))
      .map((name) => path.join(folder, name)),
  );
  return new Map(files.map((file) => [path.basename(file, ".log"), readFileSync(file, "utf8")]));
}

const prototypeReport = z.object({ pid: z.number(), added: z.array(z.string()), isAdmin: z.string().nullable() });

async function askPrototypes(processes: readonly Process[], logs: string): Promise<readonly PrototypeReport[]> {
  return Promise.all(
    processes.map(async ({ name, pid }) => {
      const file = prototypeFile(logs, name);
      rmSync(file, { force: true });
      // Throws when there is no such process any more.
      process.kill(pid, "SIGUSR2");
      const report = await eventually(
        () => (existsSync(file) ? prototypeReport.parse(JSON.parse(readFileSync(file, "utf8"))) : undefined),
        { timeoutMs: 60_000, what: `the report of ${name}` },
      );
      const inherited = report.isAdmin === null ? [] : ["isAdmin"];
      return { name, isSameProcess: report.pid === pid, added: [...report.added, ...inherited] };
    }),
  );
}
