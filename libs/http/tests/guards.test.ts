import { newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { createHttpApp, defineRoute, type RateAsk, type Route } from "../src/index.ts";
import {
  cookieOf,
  fromOurPage,
  principals,
  publicOrigin,
  raw,
  serve,
  sessions,
  type TestServer,
  type Thing,
  thingRoutes,
  withoutRequestId,
} from "./_util.ts";

const things: Thing[] = [{ id: newId("img"), owner: principals["bob"]!.accountId, note: "bob's" }];
let server: TestServer;
beforeAll(async () => {
  server = await serve(thingRoutes(things));
});
afterAll(() => server.close());

const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

describe("who asks", () => {
  const guarded = [
    ["GET", "/api/things/x"],
    ["DELETE", "/api/things/x"],
    ["POST", "/api/sign-out"],
    ["GET", "/api/admin/things"],
    ["PUT", "/api/admin/price"],
  ] as const;

  test.each(guarded)("given nobody, when %s %s, then 401", async (method, path) => {
    for (const headers of [{}, cookieOf(""), cookieOf("stranger")]) {
      const response = await fetch(server.url + path, { method, headers: { ...fromOurPage, ...headers } });
      expect(response.status).toBe(401);
      expect(await codeOf(response)).toBe("session_required");
    }
  });

  test.each([
    ["alice", "GET", "/api/admin/things", 403],
    ["support", "GET", "/api/admin/things", 200],
    ["admin", "GET", "/api/admin/things", 200],
    ["alice", "PUT", "/api/admin/price", 403],
    ["support", "PUT", "/api/admin/price", 403],
    ["admin", "PUT", "/api/admin/price", 204],
  ])("given %s, when %s %s, then %d", async (name, method, path, status) => {
    const body = method === "PUT" ? { body: '{"price":1}' } : {};
    const response = await fetch(server.url + path, {
      method,
      headers: { ...fromOurPage, ...cookieOf(name) },
      ...body,
    });
    expect(response.status).toBe(status);
    if (status === 403) expect(await codeOf(response)).toBe("forbidden");
  });

  test.each(guarded)(
    "given an operator without a second factor, when %s %s, then only the way to one is open",
    async (method, path) => {
      const response = await fetch(server.url + path, {
        method,
        headers: { ...fromOurPage, ...cookieOf("enrolling") },
      });
      if (path === "/api/sign-out") {
        expect(response.status).toBe(204);
        return;
      }
      expect(response.status).toBe(403);
      expect(await codeOf(response)).toBe("second_factor_due");
    },
  );

  test("given that auth does not answer, then 503 and not 401", async () => {
    const response = await fetch(`${server.url}/api/admin/things`, { headers: cookieOf("outage") });
    expect(response.status).toBe(503);
    expect(await codeOf(response)).toBe("service_unavailable");
  });

  test.each(["GET", "DELETE"])(
    "given %s, then missing, foreign and malformed ids answer the same bytes",
    async (method) => {
      const answers: string[] = [];
      for (const id of [newId("img"), things[0]!.id, newId("key"), "x", "%00", "a".repeat(500)]) {
        const response = await fetch(`${server.url}/api/things/${id}`, {
          method,
          headers: { ...fromOurPage, ...cookieOf("alice") },
        });
        const headers = [...response.headers].filter(([name]) => name !== "date").map((pair) => pair.join(": "));
        answers.push(withoutRequestId([response.status, ...headers, await response.text()].join("\n")));
      }
      expect(answers[0]).toContain("404");
      expect(new Set(answers).size).toBe(1);
      const own = await fetch(`${server.url}/api/things/${things[0]!.id}`, {
        method,
        headers: { ...fromOurPage, ...cookieOf("bob") },
      });
      expect(own.ok).toBe(true);
    },
  );

  test("given a not-found of another code on an owned object, then it is the same 404", async () => {
    const owned = defineRoute({
      operationId: "leaky",
      method: "GET",
      path: "/api/leaky",
      summary: "Names what it did not find.",
      auth: "session",
      owner: "account",
      rateClass: "none",
      bodyLimitBytes: 0,
      logClass: "standard",
      request: {},
      responses: { 204: null },
      errors: ["model_not_found"],
      handler: async () => {
        const { appError } = await import("../src/index.ts");
        throw appError("model_not_found", "Bob's thing is not yours.", { metadata: { owner: "bob" } });
      },
    });
    const leaky = await serve([owned]);
    const response = await fetch(`${leaky.url}/api/leaky`, { headers: cookieOf("alice") });
    expect(await response.json()).toMatchObject({
      status: 404,
      code: "not_found",
      detail: "There is nothing here by that id.",
    });
    await leaky.close();
  });
});

describe("CSRF", () => {
  const sites = ["same-origin", "same-site", "cross-site", "none", undefined];
  const origins = [publicOrigin, "https://evil.codex.example", "null", undefined];
  const types = ["application/json", "text/plain", "application/x-www-form-urlencoded"];
  const targets = [
    ["POST", "/api/sign-in", '{"name":"alice"}', ""],
    ["POST", "/api/sign-out", "{}", "alice"],
    ["PUT", "/api/admin/price", '{"price":1}', "admin"],
  ] as const;
  const matrix = targets.flatMap((target) =>
    sites.flatMap((site) => origins.flatMap((origin) => types.map((type) => [...target, site, origin, type] as const))),
  );

  test("given every mix of site, origin, type and target, then only our own page's JSON passes", async () => {
    expect(matrix).toHaveLength(180);
    for (const [method, path, body, who, site, origin, type] of matrix) {
      const headers = [
        `Content-Type: ${type}`,
        `Content-Length: ${String(body.length)}`,
        "X-Cx-Csrf: 1",
        ...(site === undefined ? [] : [`Sec-Fetch-Site: ${site}`]),
        ...(origin === undefined ? [] : [`Origin: ${origin}`]),
        ...(who === "" ? [] : [`Cookie: __Host-cx=${who}`]),
      ].join("\r\n");
      const answer = await raw(
        server.port,
        `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}\r\n\r\n${body}`,
      );
      const isOurs = site === "same-origin" || ((site === undefined || site === "none") && origin === publicOrigin);
      const expected = !isOurs ? 403 : type === "application/json" ? 204 : 415;
      expect({ method, path, site, origin, type, status: Number(answer.slice(9, 12)) }).toEqual({
        method,
        path,
        site,
        origin,
        type,
        status: expected,
      });
    }
  });

  test.each([undefined, "", "0", "1, 1"])("given the header x-cx-csrf as %j, then 403", async (value) => {
    const rest = Object.fromEntries(Object.entries(fromOurPage).filter(([name]) => name !== "x-cx-csrf"));
    const headers = { ...rest, ...cookieOf("alice"), ...(value === undefined ? {} : { "x-cx-csrf": value }) };
    const response = await fetch(`${server.url}/api/sign-out`, { method: "POST", headers });
    expect(response.status).toBe(403);
    expect(await codeOf(response)).toBe("csrf_rejected");
  });

  test("given a type that a form can send and no body, then 415", async () => {
    const headers = { ...fromOurPage, ...cookieOf("alice"), "content-type": "text/plain" };
    expect((await fetch(`${server.url}/api/sign-out`, { method: "POST", headers })).status).toBe(415);
  });

  test("given a public route that is no credential route, then programs may post", async () => {
    const response = await fetch(`${server.url}/api/echo`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"name":"x"}',
    });
    expect(response.status).toBe(200);
  });

  test("given a sign-in, then the cookie has every attribute of SEC-19", async () => {
    const response = await fetch(`${server.url}/api/sign-in`, {
      method: "POST",
      headers: fromOurPage,
      body: '{"name":"alice"}',
    });
    expect(response.headers.getSetCookie()).toEqual([
      "__Host-cx=alice; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict",
    ]);
    expect(response.headers.get("cache-control")).toBe("no-store");
  });
});

describe("limits", () => {
  test("given a limiter, then it sees operation, class, address and account, and its refusal is a 429 before the body is read", async () => {
    const asks: RateAsk[] = [];
    const limited = await serve(thingRoutes([]), {
      rateLimiter: {
        take: async (ask) => {
          asks.push(ask);
          return { allowed: asks.length < 2, retryAfterSeconds: 6.2, headers: { ratelimit: '"x";r=0;t=7' } };
        },
      },
    });
    const signIn = (body: string): Promise<Response> =>
      fetch(`${limited.url}/api/sign-in`, { method: "POST", headers: fromOurPage, body });
    expect((await signIn('{"name":"alice"}')).status).toBe(204);
    const refused = await signIn("not json");
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("7");
    expect(refused.headers.get("ratelimit")).toBe('"x";r=0;t=7');
    expect(await codeOf(refused)).toBe("rate_limit_exceeded");
    expect(asks[0]).toEqual({ operationId: "signIn", rateClass: "credential", clientIp: "127.0.0.1", principal: null });
    await limited.close();
  });

  test("given more requests at once than allowed, then 503 overloaded, and room again afterwards", async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<undefined>();
    const { promise: entered, resolve: enter } = Promise.withResolvers<undefined>();
    const slow = await serve([slowRoute(gate, () => enter(undefined))], { maxConcurrent: 1 });
    const first = fetch(`${slow.url}/api/slow`);
    await entered;
    const second = await fetch(`${slow.url}/api/slow`);
    expect(second.status).toBe(503);
    expect(second.headers.get("retry-after")).toBe("1");
    expect(await codeOf(second)).toBe("overloaded");
    open(undefined);
    expect((await first).status).toBe(204);
    expect((await fetch(`${slow.url}/api/slow`)).status).toBe(204);
    await slow.close();
  });

  test.each([
    ["no proxy", 0, { "x-forwarded-for": "6.6.6.6" }, "127.0.0.1"],
    ["one proxy, a list", 1, { "x-forwarded-for": "6.6.6.6, 10.0.0.9" }, "10.0.0.9"],
    ["one proxy, an IPv6 zone", 1, { "x-forwarded-for": "6.6.6.6, fe80::1%eth0" }, "fe80::1"],
    ["one proxy, garbage", 1, { "x-forwarded-for": "6.6.6.6, localhost" }, "127.0.0.1"],
    ["two proxies", 2, { "x-forwarded-for": "6.6.6.6, 10.0.0.9, 10.0.0.1" }, "10.0.0.9"],
    ["two proxies, one entry", 2, { "x-forwarded-for": "6.6.6.6" }, "127.0.0.1"],
    ["one proxy, other headers", 1, { "x-real-ip": "6.6.6.6", forwarded: "for=6.6.6.6" }, "127.0.0.1"],
  ])("given %s, then the client's address is what our own hops saw", async (_name, trustedProxyCount, headers, ip) => {
    const proxied = await serve(thingRoutes([]), { trustedProxyCount });
    expect(await (await fetch(`${proxied.url}/api/ping`, { headers })).json()).toMatchObject({ ip });
    await proxied.close();
  });

  test("given two X-Forwarded-For headers, then the last entry of the last one counts", async () => {
    const proxied = await serve(thingRoutes([]), { trustedProxyCount: 1 });
    const answer = await raw(
      proxied.port,
      "GET /api/ping HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 10.0.0.9\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toContain('"ip":"10.0.0.9"');
    await proxied.close();
  });
});

function slowRoute(gate: Promise<unknown>, onEnter: () => void): Route {
  return defineRoute({
    operationId: "slow",
    method: "GET",
    path: "/api/slow",
    summary: "Waits.",
    auth: "public",
    owner: "none",
    rateClass: "none",
    bodyLimitBytes: 0,
    logClass: "standard",
    request: {},
    responses: { 204: null },
    errors: [],
    handler: async () => {
      onEnter();
      await gate;
      return { status: 204 };
    },
  });
}

describe("the registry", () => {
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const options = { service: "test", logger, publicOrigin, trustedProxyCount: 0, production: true };

  test("given the router of the app, then it serves exactly the registry (SEC-01)", () => {
    const { app, routes } = createHttpApp({ ...options, sessions, routes: thingRoutes([]) });
    const layers = (
      app.router as unknown as { stack: { route?: { path: string; methods: Record<string, boolean> } }[] }
    ).stack;
    const served = layers.flatMap(({ route }) =>
      route
        ? Object.keys(route.methods)
            .filter((method) => method !== "_all")
            .map((method) => `${method.toUpperCase()} ${route.path}`)
        : [],
    );
    expect(served.toSorted()).toEqual(routes.map((route) => `${route.method} ${route.path}`).toSorted());
  });

  test("given guarded routes without a verifier, or a route twice, then there is no app", () => {
    expect(() => createHttpApp({ ...options, routes: thingRoutes([]) })).toThrow("needs a session verifier");
    const [ping] = thingRoutes([]);
    expect(() => createHttpApp({ ...options, sessions, routes: [ping!, ping!] })).toThrow("declared twice");
    expect(() => createHttpApp({ ...options, sessions, routes: [ping!, { ...ping!, operationId: "other" }] })).toThrow(
      "declared twice",
    );
  });

  test("given an internal route, then it needs an authorizer, and a stranger sees an unknown path", async () => {
    const route = defineRoute({
      operationId: "inner",
      method: "POST",
      path: "/internal/inner",
      summary: "For our own programs.",
      auth: "internal",
      owner: "none",
      rateClass: "none",
      bodyLimitBytes: 100,
      logClass: "quiet",
      request: {},
      responses: { 200: z.strictObject({ ok: z.boolean() }) },
      errors: [],
      handler: async () => ({ status: 200, body: { ok: true } }),
    });
    expect(() => createHttpApp({ ...options, routes: [route] })).toThrow("needs authorizeInternal");
    const inner = await serve([route], { authorizeInternal: (req) => req.headers["x-inner"] === "yes" });
    const refused = await fetch(`${inner.url}/internal/inner`, { method: "POST" });
    const unknown = await fetch(`${inner.url}/internal/none`, { method: "POST" });
    expect(refused.status).toBe(404);
    expect(withoutRequestId(await refused.text())).toBe(withoutRequestId(await unknown.text()));
    expect((await fetch(`${inner.url}/internal/inner`, { method: "POST", headers: { "x-inner": "yes" } })).status).toBe(
      200,
    );
    await inner.close();
    expect(inner.server.listening).toBe(false);
  });
});

describe("the log", () => {
  test("given served, refused and unknown requests, then one record each, with route and code and without the path", async () => {
    const logged = await serve(thingRoutes([]));
    await fetch(`${logged.url}/api/ping?limit=3`);
    await fetch(`${logged.url}/api/things/hunter2`, { headers: cookieOf("alice") });
    await fetch(`${logged.url}/hunter2`);
    await logged.close();
    expect(logged.logs).toEqual([
      expect.objectContaining({
        level: "info",
        event: "request served",
        route: "GET /api/ping",
        name: "ping",
        status: 200,
      }),
      expect.objectContaining({
        level: "info",
        event: "request refused",
        route: "GET /api/things/:thingId",
        status: 404,
        code: "not_found",
        accountId: principals["alice"]!.accountId,
      }),
      expect.objectContaining({
        level: "info",
        event: "request refused",
        route: "GET (none)",
        status: 404,
        code: "route_not_found",
      }),
    ]);
    expect(JSON.stringify(logged.logs)).not.toContain("hunter2");
  });
});

describe("a fresh proof (SEC-24)", () => {
  const sensitive = defineRoute({
    operationId: "show",
    method: "POST",
    path: "/api/show",
    summary: "Something sensitive",
    auth: "session",
    owner: "account",
    freshProof: true,
    rateClass: "write",
    bodyLimitBytes: 1_024,
    logClass: "standard",
    request: {},
    responses: { 204: null },
    errors: [],
    handler: () => Promise.resolve({ status: 204 }),
  });

  test.each([
    ["fresh", 204, ""],
    ["stale", 401, "reauth_required"],
    // Not known is not fresh.
    ["alice", 401, "reauth_required"],
    ["stranger", 401, "session_required"],
  ])("given %s, when something sensitive is asked for, then %d %s", async (name, status, code) => {
    const guarded = await serve([sensitive]);
    const response = await fetch(`${guarded.url}/api/show`, {
      method: "POST",
      headers: { ...fromOurPage, ...cookieOf(name) },
    });
    const text = await response.text();
    await guarded.close();
    expect([response.status, text === "" ? "" : (JSON.parse(text) as { code: string }).code]).toEqual([status, code]);
  });

  test("given a route that anybody may call, when it asks for a fresh proof, then it cannot be declared", () => {
    expect(() =>
      defineRoute({ ...sensitive, auth: "public", owner: "none", handler: async () => ({ status: 204 }) }),
    ).toThrow("a fresh proof needs a principal");
  });
});
