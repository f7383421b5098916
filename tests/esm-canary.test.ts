import { expect, test } from "@jest/globals";

// @swc/jest silently falls back to CommonJS when node runs without --experimental-vm-modules. Then `require` exists here
// and top-level await does not parse; either way this file goes red and the suite cannot pretend to test ESM.
const resolved = await Promise.resolve("esm");

test("the suite runs as real ES modules", () => {
  expect(resolved).toBe("esm");
  expect(import.meta.url.startsWith("file://")).toBe(true);
  expect(typeof require).toBe("undefined");
});
