import { expect, test } from "@jest/globals";
import { canonicalEmail } from "./account.ts";

test.each([
  ["  Anna@Example.ORG ", "anna@example.org"],
  ["a.b+c@example.org", "a.b+c@example.org"],
])("given %j, when it is made canonical, then it is %j", (given, expected) => {
  expect(canonicalEmail(given)).toBe(expected);
  expect(canonicalEmail(canonicalEmail(given))).toBe(expected);
});
