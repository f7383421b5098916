import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { divideCeil, divideHalfEven, formatAmount, microTokensMax, parseAmount, parseMicroTokens } from "./money.ts";

const anyAmount = fc.bigInt({ min: -microTokensMax, max: microTokensMax });

test("amounts format with six fraction digits and parse back to the same number", () => {
  expect(formatAmount(421_000n)).toBe("0.421000");
  expect(formatAmount(-1n)).toBe("-0.000001");
  fc.assert(fc.property(anyAmount, (value) => parseAmount(formatAmount(value)) === value));
});

test.each(["", "1e3", "1.", ".5", "01", "+1", " 1", "1,5", "0.1234567", "NaN", "Infinity", "0x10", "1".repeat(14)])(
  "%j is not an amount",
  (text) => {
    expect(parseAmount(text)).toBeUndefined();
  },
);

test("micro-tokens outside int8 are refused, not wrapped", () => {
  expect(parseMicroTokens("9223372036854775807")).toBe(microTokensMax);
  expect(parseMicroTokens("9223372036854775808")).toBeUndefined();
  expect(parseMicroTokens("1.0")).toBeUndefined();
});

test("half-even rounding: ties go to the even neighbour, in both signs", () => {
  expect([1n, 3n, 5n, -1n, -3n, -5n].map((half) => divideHalfEven(half, 2n))).toEqual([0n, 2n, 2n, 0n, -2n, -2n]);
});

test("half-even rounding is never further than half a unit from the exact quotient", () => {
  fc.assert(
    fc.property(anyAmount, fc.bigInt({ min: 1n, max: 10n ** 12n }), (numerator, denominator) => {
      const difference = 2n * (divideHalfEven(numerator, denominator) * denominator - numerator);
      return difference <= denominator && difference >= -denominator;
    }),
  );
});

test("the hold's rounding is never below the charge's rounding", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: microTokensMax }),
      fc.bigInt({ min: 1n, max: 10n ** 9n }),
      (numerator, denominator) => {
        return divideCeil(numerator, denominator) >= divideHalfEven(numerator, denominator);
      },
    ),
  );
});

test("a zero or negative denominator is a defect", () => {
  expect(() => divideHalfEven(1n, 0n)).toThrow(RangeError);
  expect(() => divideCeil(1n, -1n)).toThrow(RangeError);
});
