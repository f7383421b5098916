import { expect, test } from "@jest/globals";
import { propertyRuns } from "../src/property-runs.ts";

test.each([
  [undefined, 100],
  ["10000", 10_000],
  ["1", 1],
])("given FC_NUM_RUNS=%s, then a property runs %s times", (asked, runs) => {
  expect(propertyRuns(100, asked)).toBe(runs);
});

test.each(["0", "-5", "1e3", "many", "1000001"])("given FC_NUM_RUNS=%s, then it is refused", (asked) => {
  expect(() => propertyRuns(100, asked)).toThrow("FC_NUM_RUNS");
});
