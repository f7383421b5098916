import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkApiKey, displayPrefix, generateApiKey, hashApiKey, randomBase62 } from "./api-key.ts";

test("a generated key passes the check and tells its brand and environment", () => {
  expect(checkApiKey(generateApiKey("cx", "live"))).toEqual({ brand: "cx", environment: "live" });
  expect(checkApiKey(generateApiKey("brand12345", "test"))).toEqual({ brand: "brand12345", environment: "test" });
});

test("no single-character typo passes the checksum", () => {
  const key = generateApiKey("cx", "live");
  const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  let tried = 0;
  for (let index = 8; index < key.length; index += 1) {
    for (const letter of letters) {
      if (letter === key[index]) continue;
      tried += 1;
      expect(checkApiKey(key.slice(0, index) + letter + key.slice(index + 1))).toBeUndefined();
    }
  }
  expect(tried).toBe((key.length - 8) * 61);
});

test("arbitrary text never passes and never throws", () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => checkApiKey(text) === undefined));
});

test("letters are uniform: chi-square over a million stays below the 0.1 % bound for 61 degrees of freedom", () => {
  const counts = new Map<string, number>();
  for (const letter of randomBase62(1_000_000)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  expect(counts.size).toBe(62);
  const expected = 1_000_000 / 62;
  const chiSquare = [...counts.values()].reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0);
  // 100.9 is the 99.9 % quantile of chi-square with 61 degrees of freedom; 130 keeps false alarms below one in a million.
  expect(chiSquare).toBeLessThan(130);
});

test("the display prefix is at most 16 characters and does not give the key away", () => {
  const key = generateApiKey("brand12345", "live");
  expect(displayPrefix(key).length).toBeLessThanOrEqual(16);
  expect(displayPrefix(generateApiKey("cx", "live"))).toMatch(/^cx_live_[0-9A-Za-z]{4}$/);
});

test("the hash is SHA-256 in lower-case hex", () => {
  expect(hashApiKey("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("a brand that is not lower-case letters and digits is refused", () => {
  for (const brand of ["", "c", "CX", "c-x", "waytoolongbrand", "1x"])
    expect(() => generateApiKey(brand, "live")).toThrow();
});
