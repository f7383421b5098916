import { expect, test } from "@jest/globals";
import { referralCodeGet } from "@codex/contracts";
import fc from "fast-check";
import { referralCodeBytes, referralCodeOf } from "./referral-code.ts";

test("any ten bytes give a code of the contract's form", () => {
  const bytes = fc.uint8Array({ minLength: referralCodeBytes, maxLength: referralCodeBytes });
  fc.assert(
    fc.property(bytes, (random) => {
      const reply = { code: referralCodeOf(random), createdAt: "2026-01-01T00:00:00Z" };
      return referralCodeGet.res.safeParse(reply).success;
    }),
  );
});

test("each of the 32 letters is equally likely over all byte values", () => {
  const counts = new Map<string, number>();
  for (let value = 0; value < 256; value += 1) {
    const letter = referralCodeOf(new Uint8Array(referralCodeBytes).fill(value)).charAt(0);
    counts.set(letter, (counts.get(letter) ?? 0) + 1);
  }
  expect(new Set(counts.values())).toEqual(new Set([8]));
  expect(counts.size).toBe(32);
});

test("another number of bytes is a defect", () => {
  expect(() => referralCodeOf(new Uint8Array(9))).toThrow(RangeError);
});
