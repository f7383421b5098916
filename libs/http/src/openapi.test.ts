import { amount } from "@codex/contracts";
import { expect, test } from "@jest/globals";
import { z } from "zod";
import { openApiDocument } from "./openapi.ts";
import { defineRoute } from "./route.ts";

const route = defineRoute({
  operationId: "spend",
  method: "POST",
  path: "/api/spend/:key/:keyId",
  summary: "Spends.",
  auth: "operator",
  owner: "account",
  rateClass: "write",
  bodyLimitBytes: 500,
  logClass: "standard",
  request: {
    params: z.strictObject({ key: z.string(), keyId: z.string() }),
    query: z.strictObject({ limit: z.coerce.number().default(5) }),
    body: z.strictObject({ sum: amount }),
  },
  responses: { 201: z.strictObject({ left: amount }), 204: null },
  errors: ["insufficient_balance"],
  handler: async () => ({ status: 204 }),
});

test("a route becomes an operation with its wire forms, guards and codes", () => {
  const document = openApiDocument("billing", [route]) as {
    paths: Record<
      string,
      Record<string, { parameters: { name: string }[]; responses: Record<string, { description: string }> }>
    >;
  };
  const operation = document.paths["/api/spend/{key}/{keyId}"]?.["post"];
  expect(operation).toMatchObject({
    operationId: "spend",
    security: [{ session: [] }],
    "x-roles": ["admin"],
    "x-body-limit-bytes": 500,
    requestBody: {
      content: {
        "application/json": { schema: { properties: { sum: { type: "string" } }, additionalProperties: false } },
      },
    },
    responses: { "201": { content: { "application/json": { schema: { properties: { left: { type: "string" } } } } } } },
  });
  expect(operation?.parameters.map(({ name }) => name)).toEqual(["key", "keyId", "limit", "x-cx-csrf"]);
  expect(Object.keys(operation?.responses ?? {})).toEqual([
    "201",
    "204",
    "400",
    "401",
    "402",
    "403",
    "404",
    "413",
    "415",
    "429",
    "500",
    "503",
  ]);
  expect(operation?.responses["402"]?.description).toBe("`insufficient_balance`");
  expect(operation?.responses["403"]?.description).toBe("`csrf_rejected`, `forbidden`, `second_factor_due`");
});

test("the document does not depend on the order of the registry", () => {
  const other = { ...route, operationId: "earn", path: "/api/earn" };
  expect(JSON.stringify(openApiDocument("x", [route, other]))).toBe(
    JSON.stringify(openApiDocument("x", [other, route])),
  );
});
