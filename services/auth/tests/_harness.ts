import { connectBus, eventHandler, type Bus, type EventMeta } from "@codex/bus";
import type { EventDef } from "@codex/contracts";
import { migrate, openDb, type Db, type Migration } from "@codex/db";
import { loadConfig, startInProcess, type CommonConfig, type ConfigSpec, type InProcessService } from "@codex/runtime";
import type { RunningService, ServiceContext } from "@codex/runtime";
import {
  createDatabase,
  leakCheck,
  startNats,
  testInfra,
  testLogger,
  type PrivateNats,
  type TestDatabase,
} from "@codex/testkit";
import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { startAuthStandIn, type AuthStandIn } from "./_stand-in.ts";

/** One service in this process on servers of its own; shared by the tests of the services without money. */

export const origin = "http://localhost:8080";

export interface ServiceUnderTest<T extends { readonly common: CommonConfig }> {
  readonly name: string;
  readonly schema: string;
  readonly migrations: readonly Migration[];
  readonly config: ConfigSpec<T>;
  start(context: ServiceContext<T>): Promise<RunningService>;
  readonly settings?: Readonly<Record<string, string>>;
  /** The service is auth itself, so nobody stands in for it. */
  readonly isAuth?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Empty when there is no JSON body. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface SendOptions {
  readonly cookie?: string | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly text?: string;
  /** Over the headers of a same-origin page; null takes one away. */
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly to?: InProcessService;
}

export interface Harness {
  readonly database: TestDatabase;
  readonly nats: PrivateNats;
  readonly bus: Bus;
  readonly auth: AuthStandIn;
  readonly service: InProcessService;
  /** Another process on the same database and bus, with other settings; stopped with the harness. */
  startReplica(more?: Readonly<Record<string, string>>): Promise<InProcessService>;
  /** As superuser in the service's schema. */
  readonly admin: Db<unknown>;
  query<Row extends Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  send(method: string, path: string, options?: SendOptions): Promise<Answer>;
  /** Applies the migrations again; answers the names of those that changed anything. */
  migrateAgain(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

async function sendTo(
  service: InProcessService,
  method: string,
  path: string,
  options: SendOptions = {},
): Promise<Answer> {
  const headers = new Headers({ origin, "x-cx-csrf": "1" });
  if (options.body !== undefined) headers.set("content-type", "application/json");
  if (options.cookie !== undefined) headers.set("cookie", options.cookie);
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  const body = options.text ?? (options.body === undefined ? null : JSON.stringify(options.body));
  const response = await fetch(`${service.httpUrl ?? ""}${path}`, {
    method,
    headers,
    body,
    signal: AbortSignal.timeout(180_000),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text === "" ? {} : parseObject(text) };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function settingsFor(database: TestDatabase, nats: PrivateNats, schema: string): Record<string, string> {
  return {
    NODE_ENV: "test",
    HTTP_PORT: "0",
    ADMIN_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    DATABASE_URL: database.urlFor("app", schema),
    NATS_URL: nats.url,
    REDIS_URL: testInfra().redisUrl,
    PUBLIC_ORIGIN: origin,
    TRUSTED_PROXY_COUNT: "1",
  };
}

export async function startHarness<T extends { readonly common: CommonConfig }>(
  tested: ServiceUnderTest<T>,
): Promise<Harness> {
  const { name, schema, migrations } = tested;
  const database = await createDatabase({ service: [{ schema, migrations }] });
  const leaks = leakCheck({ databaseUrl: database.adminUrl });
  const nats = await startNats();
  const bus = await connectBus({ servers: [nats.url], name: "test" }, { logger: testLogger("test"), source: "test" });
  await bus.ensureTopology();
  const standIn = tested.isAuth === true ? undefined : await startAuthStandIn(bus, origin);
  const admin: Db<unknown> = openDb({ url: database.adminUrl, schema, applicationName: "test", connectionsMax: 2 });
  const replicas: InProcessService[] = [];
  const startReplica: Harness["startReplica"] = async (more = {}) => {
    const settings = { ...settingsFor(database, nats, schema), ...tested.settings, ...more };
    const replica = await startInProcess({
      name,
      config: loadConfig(tested.config, settings),
      start: tested.start,
      logger: testLogger(name),
    });
    replicas.push(replica);
    return replica;
  };
  const service = await startReplica();
  return {
    database,
    nats,
    bus,
    get auth() {
      if (!standIn) throw new Error("auth is tested itself");
      return standIn;
    },
    service,
    startReplica,
    admin,
    query: async <Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []) =>
      (await admin.pool.query<Row>(text, [...values])).rows,
    send: (method, path, options) => sendTo(options?.to ?? service, method, path, options),
    migrateAgain: async () => (await migrate({ url: database.urlFor("owner", schema), schema, migrations })).applied,
    stop: async () => {
      for (const replica of replicas) await replica.stop();
      await standIn?.stop();
      await bus.drain();
      await nats.stop();
      await admin.close();
      await leaks.assertClean();
      await database.drop();
    },
  };
}

export interface SeenEvent<Data> {
  readonly data: Data;
  readonly id: string;
}

/** Everything of this event from the beginning of the stream, parsed by its contract; the array grows as more comes. */
export async function watchEvents<P extends string, S extends z.ZodType>(
  bus: Bus,
  event: EventDef<P, S>,
): Promise<readonly SeenEvent<z.output<S>>[]> {
  const seen: SeenEvent<z.output<S>>[] = [];
  const handle = (data: z.output<S>, meta: EventMeta): Promise<void> => {
    seen.push({ data, id: meta.id });
    return Promise.resolve();
  };
  const durable = `test-${randomUUID()}`;
  await bus.consume({ stream: event.stream, durable, events: [eventHandler(event, handle)], concurrencyMax: 1 });
  return seen;
}

/** Every message of any subject from now on, as text; ends with the connection. */
export function recordTraffic(bus: Bus): readonly string[] {
  const messages: string[] = [];
  bus.connection.subscribe(">", {
    callback: (_error, message) => {
      const headers = (message.headers?.keys() ?? []).map(
        (name) => `${name}: ${message.headers?.values(name).join() ?? ""}`,
      );
      messages.push([message.subject, ...headers, message.string()].join("\n"));
    },
  });
  return messages;
}

/** The answer without what is new in each: request id and date. Two refusals that must not be told apart are equal in it. */
export function comparable(answer: Answer): unknown {
  const headers = [...answer.headers].filter(([name]) => !["x-request-id", "request-id", "date"].includes(name));
  return { status: answer.status, headers, text: answer.text.replaceAll(/req_[0-9a-z]{26}/g, "req_") };
}
