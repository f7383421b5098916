import { afterEach, expect, test } from "@jest/globals";
import { propertyRuns } from "../src/property-runs.ts";

const before = process.env["FC_NUM_RUNS"];
afterEach(() => {
  if (before === undefined) delete process.env["FC_NUM_RUNS"];
  else process.env["FC_NUM_RUNS"] = before;
});

test.each([
  ["", 100],
  ["10000", 10_000],
  ["1", 1],
])("given FC_NUM_RUNS=%s, then a property runs %s times", (asked, runs) => {
  process.env["FC_NUM_RUNS"] = asked;
  expect(propertyRuns(100)).toBe(runs);
});

test.each(["0", "-5", "1e3", "many", "1000001"])("given FC_NUM_RUNS=%s, then it is refused", (asked) => {
  process.env["FC_NUM_RUNS"] = asked;
  expect(() => propertyRuns(100)).toThrow("FC_NUM_RUNS");
});
