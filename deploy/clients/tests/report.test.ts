import { expect, test } from "@jest/globals";
import { claudeCode } from "../src/agents/claude-code.ts";
import { codex } from "../src/agents/codex.ts";
import { opencode } from "../src/agents/opencode.ts";
import type { Installed } from "../src/install.ts";
import { exitCodeOf, reportLines } from "../src/report.ts";
import type { TaskResult } from "../src/run.ts";

// What a run says at its end, and what it makes of what the agents print.

const installed: Installed = { agent: codex, version: "1.2.3", program: "/codex" };
const absent: Installed = { agent: claudeCode, version: "4.5.6", absent: "npm could not install it: no network" };

function result(problems: readonly string[] = []): TaskResult {
  return { agent: codex, task: codex.tasks[0]!, requests: 2, chargedMicroTokens: 1_500_000n, seconds: 3, problems };
}

test("given an agent that did its task, then one line and exit code 0", () => {
  const run = { tasks: [result()], books: [] };
  expect(reportLines([installed], run)[0]).toMatch(/^codex +1\.2\.3 +ok +1 task .*2 requests charged, 1\.5/);
  expect(exitCodeOf([installed], run)).toBe(0);
});

test("given an agent that could not be installed, then NOT RUN with the reason, and exit code 2, also when none ran", () => {
  const run = { tasks: [result()], books: [] };
  expect(reportLines([installed, absent], run)[1]).toMatch(
    /^claude-code +4\.5\.6 +NOT RUN +npm could not .*no network$/,
  );
  expect(exitCodeOf([installed, absent], run)).toBe(2);
  expect(exitCodeOf([absent], { tasks: [], books: [] })).toBe(2);
});

test("given something wrong with a task or the books, then it is told and the exit code is 1, whoever did not run", () => {
  const failed = { tasks: [result(["no answer came"])], books: [] };
  expect(reportLines([installed], failed).slice(0, 2).join("\n")).toMatch(/FAILED +1 of 1 task.*\n.*no answer came/);
  expect(exitCodeOf([installed, absent], failed)).toBe(1);
  const off = { tasks: [result()], books: ["req_1: not in the books"] };
  expect(reportLines([installed], off)).toContain("  req_1: not in the books");
  expect(exitCodeOf([installed], off)).toBe(1);
});

test("given what each agent prints, then its last answer is found, and none where it says that it failed", () => {
  const said = (text: string): object => ({ type: "item.completed", item: { type: "agent_message", text } });
  const lines = (...values: readonly object[]): string =>
    ["Reading stdin", ...values.map((value) => JSON.stringify(value))].join("\n");
  expect(codex.answer(lines(said("one"), said("two"), { type: "turn.completed" }))).toBe("two");
  expect(codex.answer(lines(said("one"), { type: "turn.failed" }))).toBeUndefined();
  expect(claudeCode.answer(lines({ type: "result", is_error: false, result: "three" }))).toBe("three");
  expect(claudeCode.answer(lines({ type: "result", is_error: true, result: "no" }))).toBeUndefined();
  expect(opencode.answer(lines({ type: "step_start" }, { type: "text", part: { text: "four" } }))).toBe("four");
  expect(opencode.answer("{ broken")).toBeUndefined();
});
