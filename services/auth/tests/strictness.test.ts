import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { authRoutes } from "../src/index.ts";
import type { Answer, Harness } from "./_harness.ts";
import { register, startAuth } from "./_util.ts";

/** Over all declared routes, so that a new one cannot be forgotten. */

let world: Harness;
let cookie: string;

beforeAll(async () => {
  world = await startAuth();
  ({ cookie } = await register(world));
});
afterAll(() => world.stop());

const nothing = new Proxy<never>(Object.create(null) as never, {
  get: (_target, name) => {
    throw new Error(`a declaration used ${String(name)}`);
  },
});
const routes = authRoutes(nothing, nothing, nothing, nothing);
const pathOf = (path: string): string =>
  path
    .replace(":accountId", "acc_01h2xcejqtf2nbrexx3vqjhp41")
    .replace(":sessionId", "ses_01h2xcejqtf2nbrexx3vqjhp41")
    .replace(":passkeyId", "some");
const named = (wanted: (route: (typeof routes)[number]) => boolean) =>
  routes.filter(wanted).map((route) => [`${route.method} ${route.path}`, route] as const);
const changing = named(({ method }) => method !== "GET");
const isOurs = (answer: Answer): boolean =>
  typeof answer.body["code"] === "string" && typeof answer.body["requestId"] === "string";

describe("bad input (SEC-110, SEC-111, SEC-86)", () => {
  const hostile: readonly (readonly [string, string])[] = [
    ["an unknown field", '{"isAdmin":true}'],
    ["__proto__", '{"__proto__":{"isAdmin":true}}'],
    ["constructor", '{"constructor":{"prototype":{"isAdmin":true}}}'],
    ["half a document", '{"email":'],
    ["a list", "[]"],
    ["a deep one", `${"[".repeat(5_000)}${"]".repeat(5_000)}`],
    ["a lone surrogate", '{"email":"\\ud800"}'],
    ["an infinite number", '{"email":1e309}'],
  ];

  test.each(changing)(
    "given %s, when the body is hostile, then it is a clear 4xx and nothing is changed",
    async (_name, route) => {
      for (const [what, text] of hostile) {
        const answer = await world.send(route.method, pathOf(route.path), {
          cookie,
          text,
          headers: { "content-type": "application/json" },
        });
        // An operator's route refuses a customer before it reads anything.
        expect([what, [400, 403, 413].includes(answer.status), isOurs(answer)]).toEqual([what, true, true]);
        expect(answer.text).not.toMatch(/isAdmin.*true|node_modules|postgres|at .*\.ts:/);
      }
      expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
      const [row] = await world.query<{ roles: string }>("select string_agg(distinct role, ',') as roles from account");
      expect(row?.roles).toBe("user");
      expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(200);
    },
  );

  test.each(changing)(
    "given %s, when the body is larger than it takes or compressed, then 413 and 415",
    async (_name, route) => {
      const large = await world.send(route.method, pathOf(route.path), {
        cookie,
        text: JSON.stringify({ x: "x".repeat(route.bodyLimitBytes + 1) }),
        headers: { "content-type": "application/json" },
      });
      expect([403, 413]).toContain(large.status);
      const packed = await world.send(route.method, pathOf(route.path), {
        cookie,
        text: "{}",
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
      });
      expect([403, 415]).toContain(packed.status);
    },
  );
});

describe("from another page (SEC-22)", () => {
  const sites = ["cross-site", "same-site", "none", "same-origin", null] as const;
  const origins = ["http://localhost:8080", "http://sub.localhost:8080", "null", null] as const;
  const types = ["application/json", "text/plain", "application/x-www-form-urlencoded"] as const;
  const targets = ["/api/auth/sign-in", "/api/auth/register", "/api/auth/sessions/end-others", "/api/auth/sign-out"];

  test.each(targets)(
    "given every mix of site, origin, type and header, when %s is called, then only our own page gets through",
    async (path) => {
      for (const site of sites) {
        for (const from of origins) {
          for (const type of types) {
            for (const header of ["1", null]) {
              const answer = await world.send("POST", path, {
                cookie,
                text: '{"nonsense":1}',
                headers: { "sec-fetch-site": site, origin: from, "content-type": type, "x-cx-csrf": header },
              });
              const ours = site === "same-origin" || ((site === null || site === "none") && from === origins[0]);
              const expected = !ours || header === null ? 403 : type === "application/json" ? 400 : 415;
              expect([site, from, type, header, answer.status]).toEqual([site, from, type, header, expected]);
            }
          }
        }
      }
    },
  );

  test("given every route, when it is fetched by GET, then nothing changes state by it", () => {
    const reading = routes.filter(({ method }) => method === "GET").map(({ operationId }) => operationId);
    expect(
      reading.filter(
        (name) => !/^(list|search|view|me$|jwks|registrationRules|demoMailbox|securityOverview)/.test(name),
      ),
    ).toEqual([]);
  });
});

describe("headers (SEC-19, SEC-29)", () => {
  test.each(named(() => true))(
    "given %s, when it answers, then the headers of a safe answer are there",
    async (_name, route) => {
      const { headers } = await world.send(route.method, pathOf(route.path), { cookie });
      const policy = headers.get("content-security-policy") ?? "";
      for (const part of ["default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]) {
        expect(policy).toContain(part);
      }
      expect(headers.get("strict-transport-security")).toBe("max-age=31536000; includeSubDomains");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("access-control-allow-origin")).toBeNull();
    },
  );
});
