import { expect, test } from "@jest/globals";
import { AppError, type ErrorKind } from "./errors.ts";

const framesOf = (kind: ErrorKind): number => {
  const error = new AppError({ kind, code: "some_code", publicMessage: "No." });
  return error.stack?.split("\n").filter((line) => line.startsWith("    at ")).length ?? 0;
};

test("what anybody can have by the thousand takes no stack, and what follows it has one again", () => {
  expect(framesOf("rate_limited")).toBe(0);
  expect(framesOf("unauthenticated")).toBe(0);
  expect(framesOf("internal")).toBeGreaterThan(1);
  expect(new Error("another").stack).toContain("\n    at ");
});
