import type { AccountId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { bodyLimitBytesMax, defineRoute, needsCsrf, type Route } from "./route.ts";

const base = {
  operationId: "doThing",
  method: "POST",
  path: "/api/things/:thingId",
  summary: "Does.",
  auth: "session",
  owner: "account",
  rateClass: "write",
  bodyLimitBytes: 1_000,
  logClass: "standard",
  responses: { 204: null },
  errors: [],
} as const;
const request = { params: z.strictObject({ thingId: z.string() }) };
const handler = async (): Promise<{ status: number }> => ({ status: 204 });

describe("a declaration that contradicts itself", () => {
  const cases: [string, () => Route][] = [
    ["path", () => defineRoute({ ...base, path: "/api/*rest", request: {}, handler })],
    ["parameters and request.params differ", () => defineRoute({ ...base, request: {}, handler })],
    ["parameters and request.params differ", () => defineRoute({ ...base, path: "/api/things", request, handler })],
    ["out of bounds", () => defineRoute({ ...base, request, bodyLimitBytes: bodyLimitBytesMax + 1, handler })],
    ["out of bounds", () => defineRoute({ ...base, request, bodyLimitBytes: Number.NaN, handler })],
    [
      "takes no body",
      () => defineRoute({ ...base, method: "GET", request: { ...request, body: z.strictObject({}) }, handler }),
    ],
    [
      "no room",
      () => defineRoute({ ...base, bodyLimitBytes: 0, request: { ...request, body: z.strictObject({}) }, handler }),
    ],
    ["owner check needs a principal", () => defineRoute({ ...base, auth: "public", request, handler })],
    ["roles belong to operator", () => defineRoute({ ...base, roles: ["admin"], request, handler })],
    ["must name operators", () => defineRoute({ ...base, auth: "operator", roles: ["user"], request, handler })],
    ["must name operators", () => defineRoute({ ...base, auth: "operator", roles: [], request, handler })],
    ["nonsense is not in", () => defineRoute({ ...base, errors: ["nonsense"], request, handler })],
    [
      "request.body must be a z.strictObject",
      () => defineRoute({ ...base, request: { ...request, body: z.object({}) }, handler }),
    ],
    [
      "request.body.list[].deep must be a z.strictObject",
      () =>
        defineRoute({
          ...base,
          request: {
            ...request,
            body: z.strictObject({ list: z.array(z.strictObject({ deep: z.object({}).optional() })) }),
          },
          handler,
        }),
    ],
    [
      "must be a z.strictObject",
      () => defineRoute({ ...base, request: { ...request, query: z.looseObject({}) }, handler }),
    ],
  ];
  test.each(cases)("is refused: %s", (message, declare) => {
    expect(declare).toThrow(message);
  });
});

test("types of params, query, body and principal flow into the handler", () => {
  const route = defineRoute({
    ...base,
    request: {
      ...request,
      query: z.strictObject({ limit: z.coerce.number() }),
      body: z.strictObject({ at: z.codec(z.string(), z.bigint(), { decode: BigInt, encode: String }) }),
    },
    handler: async ({ params, query, body, principal }) => {
      const types: [string, number, bigint, AccountId] = [params.thingId, query.limit, body.at, principal.accountId];
      // @ts-expect-error there is no such field
      expect([...types, body.other]).toHaveLength(5);
      return { status: 204 };
    },
  });
  expect(route.operationId).toBe("doThing");
  defineRoute({
    ...base,
    auth: "public",
    owner: "none",
    path: "/api/things",
    request: {},
    handler: async ({ principal }) => {
      // @ts-expect-error a public route has no principal
      expect(principal.accountId).toBeUndefined();
      return { status: 204 };
    },
  });
});

test.each([
  ["GET", "session", "read", false],
  ["POST", "session", "write", true],
  ["DELETE", "operator", "none", true],
  ["POST", "public", "credential", true],
  ["POST", "public", "write", false],
  ["POST", "internal", "write", false],
] as const)("%s %s %s asks for CSRF: %s", (method, auth, rateClass, expected) => {
  expect(needsCsrf({ method, auth, rateClass })).toBe(expected);
});
