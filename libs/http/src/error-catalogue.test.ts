import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { appError, errorCatalogue, findError, InvalidRequestError } from "./error-catalogue.ts";
import { renderErrorsDoc } from "./errors-doc.ts";

test("docs/errors.md is what the catalogue says; regenerate it with npm run generate", () => {
  expect(readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8")).toBe(renderErrorsDoc());
});

test("codes are unique words, and every text is a sentence that names no secret place", () => {
  const codes = errorCatalogue.map((entry) => entry.code);
  expect(new Set(codes).size).toBe(codes.length);
  for (const entry of errorCatalogue) {
    expect(entry.code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(entry.title).not.toMatch(/\.$/);
    for (const text of [entry.cause, entry.fix]) expect(text).toMatch(/^[A-Z`].*\.$/);
    expect(entry.surfaces.length).toBeGreaterThan(0);
  }
});

test("the codes that the surfaces are built on exist with their statuses' kinds", () => {
  const kinds = Object.fromEntries(errorCatalogue.map((entry) => [entry.code, entry.kind]));
  expect(kinds).toMatchObject({
    missing_api_key: "unauthenticated",
    invalid_api_key: "unauthenticated",
    key_revoked: "unauthenticated",
    key_expired: "unauthenticated",
    conflicting_credentials: "invalid",
    model_not_found: "not_found",
    model_not_allowed: "forbidden",
    credit_balance_exhausted: "quota",
    request_too_large: "too_large",
    malformed_json: "invalid",
    invalid_request: "invalid",
    unknown_parameter: "invalid",
    unsupported_media_type: "unsupported_media",
    route_not_found: "not_found",
    method_not_allowed: "method_not_allowed",
    rate_limit_exceeded: "rate_limited",
    upstream_error: "upstream",
    upstream_timeout: "timeout",
    upstream_unavailable: "unavailable",
    service_unavailable: "unavailable",
    internal_error: "internal",
    session_required: "unauthenticated",
    forbidden: "forbidden",
    csrf_rejected: "forbidden",
    not_found: "not_found",
    conflict: "conflict",
    idempotency_key_reused: "conflict",
    invalid_credentials: "unauthenticated",
    too_many_attempts: "rate_limited",
    account_frozen: "forbidden",
    overloaded: "unavailable",
  });
});

test("an error takes its kind from the catalogue", () => {
  expect(appError("credit_balance_exhausted", "Not enough.").kind).toBe("quota");
  expect(findError("nonsense")).toBeUndefined();
  // @ts-expect-error an undeclared code does not compile, and does not run either
  expect(() => appError("nonsense", "x")).toThrow("no such error code");
});

test("an invalid request names its first field in the sentence", () => {
  const error = new InvalidRequestError([
    { pointer: "/name", message: "too long" },
    { pointer: "/age", message: "not a number" },
  ]);
  expect(error.publicMessage).toBe("/name: too long (and 1 more).");
  expect(error.param).toBe("/name");
});
