import { newId, parseId, type AccountId } from "@codex/kernel";
import { connect } from "node:net";
import { z } from "zod";
import {
  appError,
  createHttpApp,
  defineRoute,
  type HttpAppOptions,
  type HttpLogFields,
  listen,
  type Listening,
  notFound,
  type Principal,
  type Route,
  sessionCookieName,
  type SessionVerifier,
} from "../src/index.ts";

export const publicOrigin = "https://codex.example";

export interface LogLine extends HttpLogFields {
  readonly level: string;
  readonly event: string;
}

export interface TestServer extends Listening {
  readonly url: string;
  readonly logs: LogLine[];
}

/** A verifier of the test's own: the cookie is the name of a principal. The real one has its own table of tests. */
export const principals: Readonly<Record<string, Principal>> = {
  alice: { accountId: newId("acc"), sessionId: newId("ses"), role: "user" },
  bob: { accountId: newId("acc"), sessionId: newId("ses"), role: "user" },
  support: { accountId: newId("acc"), sessionId: newId("ses"), role: "support" },
  fresh: { accountId: newId("acc"), sessionId: newId("ses"), role: "user", authenticatedAt: new Date() },
  stale: {
    accountId: newId("acc"),
    sessionId: newId("ses"),
    role: "user",
    authenticatedAt: new Date(Date.now() - 301_000),
  },
  enrolling: { accountId: newId("acc"), sessionId: newId("ses"), role: "user", secondFactorDue: true },
  admin: { accountId: newId("acc"), sessionId: newId("ses"), role: "admin" },
};

export const sessions: SessionVerifier = {
  verify: async (cookie) => {
    if (cookie === "outage") throw appError("service_unavailable", "Sign-in cannot be checked just now.");
    return principals[cookie ?? ""] ?? null;
  },
};

export async function serve(routes: readonly Route[], more: Partial<HttpAppOptions> = {}): Promise<TestServer> {
  const logs: LogLine[] = [];
  const at = (level: string) => (event: string, fields?: HttpLogFields) => void logs.push({ level, event, ...fields });
  const { app } = createHttpApp({
    service: "test",
    routes,
    sessions,
    logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    publicOrigin,
    trustedProxyCount: 0,
    production: false,
    ...more,
  });
  const listening = await listen(app, { host: "127.0.0.1", port: 0 });
  return { ...listening, url: `http://127.0.0.1:${String(listening.port)}`, logs };
}

export function cookieOf(name: string): Record<string, string> {
  return { cookie: `${sessionCookieName}=${name}` };
}

/** What our own page sends with a changing request. */
export const fromOurPage = {
  "content-type": "application/json",
  "sec-fetch-site": "same-origin",
  origin: publicOrigin,
  "x-cx-csrf": "1",
};

/** Sends bytes as they are and reads until the server closes or the deadline passes. */
export function raw(port: number, text: string | readonly string[], deadlineMs = 4_000): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  const timer = setTimeout(() => socket.destroy(), deadlineMs);
  socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
  socket.on("close", () => {
    clearTimeout(timer);
    resolve(answer);
  });
  socket.on("error", (error) => (answer === "" ? reject(error) : resolve(answer)));
  for (const part of typeof text === "string" ? [text] : text) socket.write(part);
  return promise;
}

/** A body without its request id, for byte-by-byte comparison. */
export function withoutRequestId(text: string): string {
  return text.replaceAll(/req_[0-9a-z]{26}/g, "req_*");
}

const thing = z.strictObject({ id: z.string(), owner: z.string(), note: z.string() });
const thingParams = z.strictObject({ thingId: z.string().refine((text) => parseId("img", text) !== undefined) });

export interface Thing {
  readonly id: string;
  readonly owner: AccountId;
  readonly note: string;
}

const base = { owner: "none", rateClass: "none", bodyLimitBytes: 1_024, logClass: "standard", errors: [] } as const;

/** A small service with one route of each kind. */
export function thingRoutes(things: readonly Thing[]): Route[] {
  const find = (id: string, owner: AccountId): Thing => {
    const found = things.find((entry) => entry.id === id && entry.owner === owner);
    if (!found) throw notFound();
    return found;
  };
  return [
    defineRoute({
      ...base,
      operationId: "ping",
      method: "GET",
      path: "/api/ping",
      summary: "Answers.",
      auth: "public",
      request: { query: z.strictObject({ limit: z.coerce.number().int().min(1).max(9).default(3) }) },
      responses: { 200: z.strictObject({ limit: z.number(), ip: z.string() }) },
      handler: async ({ query, clientIp }) => ({ status: 200, body: { limit: query.limit, ip: clientIp } }),
    }),
    defineRoute({
      ...base,
      operationId: "echo",
      method: "POST",
      path: "/api/echo",
      summary: "Answers what it got.",
      auth: "public",
      request: {
        body: z.strictObject({
          name: z.string().max(50),
          age: z.number().int().optional(),
          tags: z.array(z.strictObject({ label: z.string() })).optional(),
          map: z.record(z.string(), z.string()).optional(),
        }),
      },
      responses: { 200: z.strictObject({ name: z.string() }) },
      handler: async ({ body }) => ({ status: 200, body: { name: body.name } }),
    }),
    defineRoute({
      ...base,
      operationId: "signIn",
      method: "POST",
      path: "/api/sign-in",
      summary: "Signs in.",
      auth: "public",
      rateClass: "credential",
      request: { body: z.strictObject({ name: z.string() }) },
      responses: { 204: null },
      handler: async ({ body }) => ({
        status: 204,
        cookies: [{ name: sessionCookieName, value: body.name, maxAgeSeconds: 60 }],
      }),
    }),
    defineRoute({
      ...base,
      operationId: "signOut",
      enrolment: true,
      method: "POST",
      path: "/api/sign-out",
      summary: "Signs out.",
      auth: "session",
      request: {},
      responses: { 204: null },
      handler: async () => ({ status: 204, headers: { "clear-site-data": '"cookies"' } }),
    }),
    defineRoute({
      ...base,
      operationId: "readThing",
      method: "GET",
      path: "/api/things/:thingId",
      summary: "One thing.",
      auth: "session",
      owner: "account",
      request: { params: thingParams },
      responses: { 200: thing },
      errors: ["model_not_found"],
      handler: async ({ params, principal }) => ({
        status: 200,
        body: { ...find(params.thingId, principal.accountId) },
      }),
    }),
    defineRoute({
      ...base,
      operationId: "deleteThing",
      method: "DELETE",
      path: "/api/things/:thingId",
      summary: "Deletes a thing.",
      auth: "session",
      owner: "account",
      request: { params: thingParams },
      responses: { 204: null },
      handler: async ({ params, principal }) => {
        find(params.thingId, principal.accountId);
        return { status: 204 };
      },
    }),
    defineRoute({
      ...base,
      operationId: "listAll",
      method: "GET",
      path: "/api/admin/things",
      summary: "Everybody's things.",
      auth: "operator",
      roles: ["support", "admin"],
      request: {},
      responses: { 200: z.strictObject({ count: z.number() }) },
      handler: async () => ({ status: 200, body: { count: things.length } }),
    }),
    defineRoute({
      ...base,
      operationId: "setPrice",
      method: "PUT",
      path: "/api/admin/price",
      summary: "Sets a price.",
      auth: "operator",
      request: { body: z.strictObject({ price: z.number() }) },
      responses: { 204: null },
      handler: async () => ({ status: 204 }),
    }),
  ];
}
