import { problem } from "@codex/contracts";
import { AppError } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { appError, defineRoute, type Reply } from "../src/index.ts";
import { fromOurPage, raw, serve, type TestServer, thingRoutes } from "./_util.ts";

let server: TestServer;
beforeAll(async () => {
  server = await serve(thingRoutes([]));
});
afterAll(() => server.close());

async function refusal(response: Response): Promise<z.output<typeof problem>> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = problem.parse(await response.json());
  expect(body.status).toBe(response.status);
  expect(body.requestId).toMatch(/^req_[0-9a-z]{26}$/);
  expect(response.headers.get("x-request-id")).toBe(body.requestId);
  expect(response.headers.get("request-id")).toBe(body.requestId);
  expect(body.type).toBe(`/docs/errors#${body.code}`);
  return body;
}

const json = { "content-type": "application/json" };
const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json): Promise<Response> =>
  fetch(`${server.url}/api/echo`, { method: "POST", headers, body });

describe("routing", () => {
  test.each(["/", "/api", "/api/ping/", "/API/ping", "/api/ping/x", "/api//ping", "/.git/config", "/api/things"])(
    "given the unknown path %s, then 404 route_not_found",
    async (path) => {
      const response = await fetch(server.url + path);
      expect(response.status).toBe(404);
      expect((await refusal(response)).code).toBe("route_not_found");
    },
  );

  test.each([
    ["DELETE", "/api/ping", "GET, HEAD"],
    ["OPTIONS", "/api/echo", "POST"],
    ["GET", "/api/echo", "POST"],
    ["PATCH", "/api/things/anything", "DELETE, GET, HEAD"],
  ])("given %s on %s, then 405 with Allow: %s", async (method, path, allow) => {
    const response = await fetch(server.url + path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    expect((await refusal(response)).code).toBe("method_not_allowed");
  });

  test("given a path that is not percent-encoding, then 400 and nothing of it in the answer", async () => {
    const response = await fetch(`${server.url}/api/things/%zzsecret`);
    expect(response.status).toBe(400);
    const body = await refusal(response);
    expect(body.code).toBe("invalid_request");
    expect(JSON.stringify(body)).not.toContain("secret");
  });

  test("given HEAD on a GET route, then the headers of the answer and no body", async () => {
    const response = await fetch(`${server.url}/api/ping`, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(Number(response.headers.get("content-length"))).toBeGreaterThan(0);
    expect(await response.text()).toBe("");
  });

  test("given any answer, then it has the security headers and is not cached", async () => {
    for (const path of ["/api/ping", "/nowhere"]) {
      const { headers } = await fetch(server.url + path);
      expect(headers.get("strict-transport-security")).toBe("max-age=31536000; includeSubDomains");
      expect(headers.get("content-security-policy")).toBe(
        "default-src 'none';base-uri 'none';object-src 'none';form-action 'none';frame-ancestors 'none'",
      );
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-powered-by")).toBeNull();
      expect(headers.get("access-control-allow-origin")).toBeNull();
    }
  });
});

describe("query", () => {
  test.each([
    ["limit=0", "/limit"],
    ["limit=x", "/limit"],
    ["limit=1&limit=2", "/limit"],
    ["other=1", "/other"],
    ["__proto__=1", "/__proto__"],
  ])("given ?%s, then 400 with the pointer %s", async (query, pointer) => {
    const response = await fetch(`${server.url}/api/ping?${query}`);
    expect(response.status).toBe(400);
    expect((await refusal(response)).errors?.map((entry) => entry.pointer)).toEqual([pointer]);
  });

  test("given a good query, then it arrives as numbers, with defaults", async () => {
    expect(await (await fetch(`${server.url}/api/ping?limit=7`)).json()).toMatchObject({ limit: 7 });
    expect(await (await fetch(`${server.url}/api/ping`)).json()).toMatchObject({ limit: 3 });
  });
});

describe("body", () => {
  test.each(["{", "", "{'a':1}", '{"name":"x"} x', "\u0000", '{"name":'])(
    "given the text %j, then 400",
    async (text) => {
      const response = await post(text);
      expect(response.status).toBe(400);
      expect((await refusal(response)).code).toBe(text === "" ? "invalid_request" : "malformed_json");
    },
  );

  test("given bytes that are not UTF-8, then 400 malformed_json", async () => {
    const response = await post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    expect((await refusal(response)).code).toBe("malformed_json");
  });

  test("given no body and no type, then 415 says which type is wanted", async () => {
    const response = await fetch(`${server.url}/api/echo`, { method: "POST" });
    expect(response.status).toBe(415);
    expect((await refusal(response)).detail).toContain("application/json");
  });

  test.each([
    [{ name: "x", role: "admin" }, "/role", "unknown field"],
    [{ name: "x", tags: [{ label: "a" }, { label: "b", price: 0 }] }, "/tags/1/price", "unknown field"],
    [{ name: 7 }, "/name", "expected string, received number"],
    [{ name: "x", age: "30" }, "/age", "expected number, received string"],
    [{ name: "x", tags: [{ label: null }] }, "/tags/0/label", "expected string, received null"],
    [{ name: "x", "a/b~c": 1 }, "/a~1b~0c", "unknown field"],
    [{}, "/name", "expected string, received undefined"],
    [[], "", "expected object, received array"],
    [null, "", "expected object, received null"],
    ["text", "", "expected object, received string"],
  ])("given %j, then 400 with the pointer %j", async (body, pointer, message) => {
    const response = await post(JSON.stringify(body));
    expect(response.status).toBe(400);
    const refused = await refusal(response);
    expect(refused.code).toBe("invalid_request");
    expect(refused.errors).toEqual([{ pointer, message }]);
  });

  test("given a wrong value, then the value is not repeated", async () => {
    const response = await post(JSON.stringify({ name: "hunter2-".repeat(20) }));
    expect(response.status).toBe(400);
    expect(await response.text()).not.toContain("hunter2");
  });

  test.each([
    ['{"name":"x","__proto__":{"isAdmin":true}}', "/__proto__"],
    ['{"name":"x","constructor":{"prototype":{"isAdmin":true}}}', "/constructor"],
    ['{"name":"x","map":{"__proto__":"y"}}', "/map/__proto__"],
  ])("given %s, then 400 and no prototype is touched", async (text, pointer) => {
    const response = await post(text);
    expect(response.status).toBe(400);
    expect((await refusal(response)).errors).toEqual([{ pointer, message: "unknown field" }]);
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  test.each([
    ["text/plain", '{"name":"x"}'],
    ["application/x-www-form-urlencoded", "name=x"],
    ["application/json; charset=utf-16", '{"name":"x"}'],
    ["application/jsonp", '{"name":"x"}'],
    ["multipart/form-data; boundary=x", "--x--"],
  ])("given the content type %s, then 415", async (type, text) => {
    const response = await post(text, { "content-type": type });
    expect(response.status).toBe(415);
    expect((await refusal(response)).code).toBe("unsupported_media_type");
  });

  test("given a charset of utf-8, then the body is taken", async () => {
    const response = await post('{"name":"x"}', { "content-type": 'Application/JSON; charset="UTF-8"' });
    expect(await response.json()).toEqual({ name: "x" });
  });

  test("given a compressed body, then 415", async () => {
    const response = await post(gzipSync('{"name":"x"}'), { ...json, "content-encoding": "gzip" });
    expect(response.status).toBe(415);
    expect((await refusal(response)).detail).toContain("compressed");
  });

  test("given a GET with a body, then 400", async () => {
    const head =
      "GET /api/ping HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    expect(await raw(server.port, head)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("given 33 MB on a route of 1 KB, then 413 reaches the client", async () => {
    const response = await post(Buffer.alloc(33_000_000, 0x20));
    expect(response.status).toBe(413);
    const refused = await refusal(response);
    expect(refused.code).toBe("request_too_large");
    expect(refused.detail).toContain("1024 bytes");
  });

  test("given a client that sends all of 33 MB before it reads, then it still gets its 413", async () => {
    const head = "POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n";
    const body = "x".repeat(33_000_000);
    const socket = connect(server.port, "127.0.0.1").pause();
    await new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.write(`${head}Content-Length: ${String(body.length)}\r\n\r\n`);
      socket.write(body, resolve);
    });
    const answer = await new Promise((resolve) => socket.once("data", resolve).resume());
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  test("given a body announced as too large, then 413 comes before any of it is sent", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const client = request({
      port: server.port,
      path: "/api/echo",
      method: "POST",
      headers: { ...json, "content-length": 33_000_000 },
    });
    client.on("response", (response) => resolve(response.statusCode ?? 0)).on("error", () => undefined);
    client.flushHeaders();
    expect(await promise).toBe(413);
    client.destroy();
  });

  test("given a stream without length that never ends, then 413 comes after the limit", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const client = request({ port: server.port, path: "/api/echo", method: "POST", headers: json });
    client.on("response", (response) => resolve(response.statusCode ?? 0)).on("error", () => undefined);
    client.write("x".repeat(600));
    client.write("x".repeat(600));
    expect(await promise).toBe(413);
    client.destroy();
  });

  test("given exactly the limit, then the body is read", async () => {
    const room = 1_024 - JSON.stringify({ name: "" }).length;
    const exact = `${JSON.stringify({ name: "x" }).slice(0, -1)}${" ".repeat(room - 1)}}`;
    expect(exact).toHaveLength(1_024);
    expect((await post(exact)).status).toBe(200);
    expect((await post(`${exact} `)).status).toBe(413);
    const chunked = (text: string): Promise<string> =>
      raw(
        server.port,
        `POST /api/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`,
      );
    expect(await chunked(exact)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await chunked(`${exact} `)).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("given a route without body, then {} is taken as none and anything else is refused", async () => {
    const out = (body?: string): Promise<Response> =>
      fetch(`${server.url}/api/sign-out`, {
        method: "POST",
        headers: { ...fromOurPage, cookie: "__Host-cx=alice" },
        ...(body === undefined ? {} : { body }),
      });
    expect((await out()).status).toBe(204);
    expect((await out("{}")).status).toBe(204);
    expect((await out('{"all":true}')).status).toBe(400);
  });
});

describe("bytes on the wire", () => {
  const get = (headers: string): string => `GET /api/ping HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`;

  test("given two Host headers, then 400", async () => {
    const answer = await raw(server.port, get("Host: a\r\nHost: b\r\n"));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"invalid_request"');
    expect(await raw(server.port, get("Host: a\r\n"))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("given no Host header, then 400", async () => {
    expect(await raw(server.port, get(""))).toMatch(/^HTTP\/1\.1 400 /);
  });

  test.each([
    "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
    "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
  ])("given %j, then 400", async (headers) => {
    expect(await raw(server.port, get(`Host: a\r\n${headers}`))).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("given a length and chunks at once, then 400 and the second request is not run", async () => {
    const smuggled =
      "POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/ping HTTP/1.1\r\nHost: a\r\n\r\n";
    const answer = await raw(server.port, smuggled);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain("application/problem+json");
    expect(answer).not.toContain("200 OK");
  });

  test("given headers of more than 16 KB, then 431 as problem+json", async () => {
    const answer = await raw(server.port, get(`Host: a\r\nX-Big: ${"x".repeat(17_000)}\r\n`));
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"status":431');
  });

  test("given something that is not HTTP, then 400 and the server goes on", async () => {
    expect(await raw(server.port, "\u0016\u0003\u0001hello\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect((await fetch(`${server.url}/api/ping`)).status).toBe(200);
  });
});

describe("what a handler must not do", () => {
  const base = {
    method: "GET",
    summary: "Misbehaves.",
    auth: "public",
    owner: "none",
    rateClass: "none",
    bodyLimitBytes: 0,
    logClass: "standard",
    errors: [],
    request: {},
  } as const;
  const answers: Record<string, () => Reply> = {
    undeclaredStatus: () => ({ status: 201, body: { ok: true } }),
    extraField: () => ({ status: 200, body: { ok: true, passwordHash: "hunter2" } }),
    wrongType: () => ({ status: 200, body: { ok: "yes" } }),
    missingBody: () => ({ status: 200 }),
    bodyWhereNone: () => ({ status: 204, body: { ok: true } }),
    badCookie: () => ({ status: 200, body: { ok: true }, cookies: [{ name: "cx", value: "1", maxAgeSeconds: 1 }] }),
    plainError: () => {
      throw new Error("connect ECONNREFUSED postgres://app:hunter2@db/x");
    },
    undeclaredCode: () => {
      throw appError("name_taken", "The address hunter2 is taken.");
    },
    wrongKind: () => {
      throw new AppError({ kind: "conflict", code: "service_unavailable", publicMessage: "hunter2" });
    },
  };
  const causes: Record<string, string> = {
    undeclaredStatus: "undeclared status 201",
    extraField: "schema for 200",
    wrongType: "schema for 200",
    missingBody: "schema for 200",
    bodyWhereNone: "body with status 204",
    badCookie: "must begin with __Host-",
    plainError: "ECONNREFUSED",
    undeclaredCode: "undeclared conflict code name_taken",
    wrongKind: "undeclared conflict code service_unavailable",
  };
  const routes = Object.entries(answers).map(([operationId, answer]) =>
    defineRoute({
      ...base,
      operationId,
      path: `/api/${operationId}`,
      responses: { 200: z.strictObject({ ok: z.boolean() }), 204: null },
      handler: async () => answer(),
    }),
  );

  test.each(Object.keys(answers))(
    "given %s, then the fixed 500, and the cause in the log alone",
    async (operationId) => {
      const misbehaving = await serve(routes);
      try {
        const response = await fetch(`${misbehaving.url}/api/${operationId}`);
        expect(response.status).toBe(500);
        const refused = await refusal(response);
        expect(refused.code).toBe("internal_error");
        expect(JSON.stringify(refused)).not.toContain("hunter2");
        const line = misbehaving.logs.find((entry) => entry.event === "request failed");
        expect(line).toMatchObject({
          level: "error",
          status: 500,
          code: "internal_error",
          requestId: refused.requestId,
        });
        const cause = (line?.error as Error).cause as Error;
        expect(cause.message).toContain(causes[operationId]);
      } finally {
        await misbehaving.close();
      }
    },
  );

  test("given production, then an undeclared code is sent and logged, an undeclared status still is a 500", async () => {
    const misbehaving = await serve(routes, { production: true });
    try {
      expect((await fetch(`${misbehaving.url}/api/undeclaredCode`)).status).toBe(409);
      expect(misbehaving.logs).toContainEqual(expect.objectContaining({ level: "error", event: "undeclared error" }));
      expect((await fetch(`${misbehaving.url}/api/undeclaredStatus`)).status).toBe(500);
    } finally {
      await misbehaving.close();
    }
  });
});
