import { expect, test } from "@jest/globals";
import { canonicalEmail, mailboxOf } from "./account.ts";

test.each([
  ["  Anna@Example.ORG ", "anna@example.org"],
  ["a.b+c@example.org", "a.b+c@example.org"],
])("given %j, when it is made canonical, then it is %j", (given, expected) => {
  expect(canonicalEmail(given)).toBe(expected);
  expect(canonicalEmail(canonicalEmail(given))).toBe(expected);
});

test.each([
  ["anna@example.org", "anna@example.org"],
  ["anna+shop@example.org", "anna@example.org"],
  ["an.na+a+b@example.org", "an.na@example.org"],
  ["+anna@example.org", "+anna@example.org"],
  ["an.na+shop@gmail.com", "anna@gmail.com"],
  ["a.n.n.a@googlemail.com", "anna@gmail.com"],
  ['"odd@local"@example.org', '"odd@local"@example.org'],
])("given the address %s, then its mail most likely goes to %s", (email, mailbox) => {
  expect(mailboxOf(email)).toBe(mailbox);
});
