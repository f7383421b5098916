import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import path from "node:path";

/** Jest with the root's configuration on one file of tests/fixtures, with the servers and the log of this run. */
function runJest(fixture: string): string {
  const { stderr } = spawnSync(
    process.execPath,
    ["node_modules/jest/bin/jest.js", "--runInBand", `--testMatch=<rootDir>/tests/fixtures/${fixture}.ts`],
    { cwd: path.resolve(import.meta.dirname, ".."), encoding: "utf8", timeout: 60_000 },
  );
  return stderr;
}

test("given a test that fails and one that passes, when the run ends, then what services said in the failed one is printed", () => {
  const [, printed] = runJest("complaining").split("What services said: ");
  expect(printed).toMatch(/^tests\/fixtures\/complaining.ts › given services that complain when this one fails/);
  expect(printed).toContain('"event":"said before the first test"');
  expect(printed).toMatch(
    /"service":"ledger","event":"the cause","error":\{"name":"Error","message":"relation exists"/,
  );
  expect(printed).not.toContain("of no weight");
  expect(printed).not.toContain("of another test");
});
