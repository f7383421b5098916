import { describe, expect, test } from "@jest/globals";
import { amountParts, amountText, decimalText } from "../src/shared/format.ts";

/** Russian groups stand apart by a no-break space. */
const plain = (text: string): string => text.replace(/\s/g, " ");

describe("an amount", () => {
  test.each([
    [0n, "ru", "0,00"],
    [1n, "ru", "0,000001"],
    [-1n, "ru", "-0,000001"],
    [-1_500_000n, "en", "-1.50"],
    [1_234_567_890_000n, "ru", "1 234 567,89"],
    [1_234_567_890_000n, "en", "1,234,567.89"],
    [100_000_000n, "en", "100.00"],
    // Past 2⁵³ a number would lie.
    [9_223_372_036_854_775_807n, "en", "9,223,372,036,854.775807"],
  ])("of %s micro-tokens in %s is %s, to the last digit", (value, language, text) => {
    expect(plain(amountText(value, language))).toBe(text);
  });

  test("given a column, then every amount has six digits; given parts, then they make the whole", () => {
    expect(amountText(61_000n, "ru", 6)).toBe("0,061000");
    expect(amountParts(61_000n, "en")).toEqual({ whole: "0", fraction: ".061" });
  });
});

test.each([
  ["0.004000000000", "ru", "0,004"],
  ["12345.000000123456", "en", "12,345.000000123456"],
  ["0.000000000000", "ru", "0,00"],
])("given the exact sum %s of a receipt in %s, then it is %s: nothing is rounded", (exact, language, text) => {
  expect(plain(decimalText(exact, language))).toBe(text);
});
