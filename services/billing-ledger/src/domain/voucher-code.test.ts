import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseVoucherCode, voucherCodeBytes, voucherCodeOf } from "./voucher-code.ts";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const bytes = fc.uint8Array({ minLength: voucherCodeBytes, maxLength: voucherCodeBytes });
const lettersOf = (code: string): string => code.slice(3).replaceAll("-", "");

test("given random bytes, then the code has the form that is printed on paper", () => {
  expect(voucherCodeOf(new Uint8Array(voucherCodeBytes))).toBe("CX-00000-00000-00000-00000-00000");
  fc.assert(
    fc.property(bytes, (given) => {
      expect(voucherCodeOf(given)).toMatch(/^CX(-[0-9A-HJKMNP-TV-Z]{5}){5}$/);
    }),
  );
});

test("given any code, however it is typed, then it is the same code", () => {
  fc.assert(
    fc.property(bytes, (given) => {
      const code = voucherCodeOf(given);
      const letters = lettersOf(code);
      for (const typed of [
        code,
        code.toLowerCase(),
        letters,
        code.replaceAll("-", " "),
        ` ${code}\n`,
        `CX-${letters.replaceAll("0", "O").replaceAll("1", "l")}`,
      ]) {
        expect(parseVoucherCode(typed)).toBe(letters);
      }
    }),
  );
});

test("given any two different random values, then the codes differ: no bit is lost", () => {
  fc.assert(
    fc.property(bytes, fc.integer({ min: 0, max: 119 }), (given, bit) => {
      const other = Uint8Array.from(given);
      other[Math.floor(bit / 8)] = (other[Math.floor(bit / 8)] ?? 0) ^ (1 << (bit % 8));
      expect(voucherCodeOf(other)).not.toBe(voucherCodeOf(given));
    }),
  );
});

test("given any one letter wrong, or any two swapped, then it is no code", () => {
  fc.assert(
    fc.property(
      bytes,
      fc.integer({ min: 0, max: 24 }),
      fc.integer({ min: 0, max: 24 }),
      fc.constantFrom(...alphabet),
      (given, one, two, letter) => {
        const letters = [...lettersOf(voucherCodeOf(given))];
        if (letters[one] !== letter) expect(parseVoucherCode(letters.with(one, letter).join(""))).toBeUndefined();
        if (letters[one] !== letters[two]) {
          const swapped = letters.with(one, letters[two] ?? "").with(two, letters[one] ?? "");
          expect(parseVoucherCode(swapped.join(""))).toBeUndefined();
        }
      },
    ),
  );
});

test.each([
  "",
  "CX",
  "0000000000000000000000000U",
  "CX-00000-00000-00000-00000-0000",
  "CX-00000-00000-00000-00000-000000",
  "💰",
  "' or 1=1 --",
])("given %j, then it is no code", (text) => {
  expect(parseVoucherCode(text)).toBeUndefined();
});
