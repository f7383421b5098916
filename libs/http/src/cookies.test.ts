import { expect, test } from "@jest/globals";
import { clearedSessionCookie, parseCookies, serializeCookie, sessionCookie } from "./cookies.ts";

test("a session cookie has every attribute, and is deleted with the same ones", () => {
  expect(serializeCookie(sessionCookie("a.b.c", 900.7))).toBe(
    "__Host-cx=a.b.c; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Strict",
  );
  expect(serializeCookie(clearedSessionCookie())).toBe(
    "__Host-cx=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
  );
});

test.each([
  ["cx", "x"],
  ["__Host-a b", "x"],
  ["__Host-cx", "a; Domain=evil.example"],
  ["__Host-cx", "a\r\nx: y"],
  ["__Host-cx", "x".repeat(4_096)],
])("the cookie %j is refused", (name, value) => {
  expect(() => serializeCookie({ name, value, maxAgeSeconds: 1 })).toThrow("cookie");
});

test("cookies are read literally, the first of a name counts, and no prototype is touched", () => {
  expect(parseCookies(undefined)).toEqual({});
  expect(parseCookies("a=1; __Host-cx=x.y=z ; a=2; broken; =v")).toEqual({ a: "1", "__Host-cx": "x.y=z" });
  const cookies = parseCookies("__proto__=1");
  expect(Object.getPrototypeOf(cookies)).toBe(Object.prototype);
  expect(Object.keys(cookies)).toEqual(["__proto__"]);
});
