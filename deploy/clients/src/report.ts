import { formatAmount } from "@codex/kernel";
import type { Installed } from "./install.ts";
import type { RunResult, TaskResult } from "./run.ts";

/** 0: every agent did its tasks and was charged as it must be. 1: something is wrong. 2: nothing is wrong, and an agent did not run. */
export type ExitCode = 0 | 1 | 2;

export function exitCodeOf(installed: readonly Installed[], { tasks, books }: RunResult): ExitCode {
  if (books.length > 0 || tasks.some(({ problems }) => problems.length > 0)) return 1;
  return installed.some((one) => "absent" in one) ? 2 : 0;
}

/** One line an agent, below it what is wrong; then what is wrong with the books. */
export function reportLines(installed: readonly Installed[], { tasks, books }: RunResult): readonly string[] {
  const lines = installed.flatMap((one) => {
    const title = `${one.agent.name.padEnd(12)} ${one.version.padEnd(9)}`;
    if ("absent" in one) return [`${title} NOT RUN  ${one.absent}`];
    return agentLines(
      title,
      tasks.filter(({ agent }) => agent.name === one.agent.name),
    );
  });
  const ran = tasks.length > 0;
  if (books.length > 0) return [...lines, "books        WRONG", ...books.map((problem) => `  ${problem}`)];
  return ran ? [...lines, "books        ok        every answer charged once, every balance as it must be"] : lines;
}

function agentLines(title: string, tasks: readonly TaskResult[]): readonly string[] {
  const failed = tasks.filter(({ problems }) => problems.length > 0);
  const requests = tasks.reduce((sum, task) => sum + task.requests, 0);
  const charged = tasks.reduce((sum, task) => sum + task.chargedMicroTokens, 0n);
  const seconds = tasks.reduce((sum, task) => sum + task.seconds, 0).toFixed(0);
  const facts = `${String(requests)} requests charged, ${formatAmount(charged)} tokens, ${seconds} s`;
  if (failed.length === 0) return [`${title} ok       ${count(tasks.length)} with a tool done, ${facts}`];
  return [
    `${title} FAILED   ${String(failed.length)} of ${count(tasks.length)}, ${facts}`,
    ...failed.flatMap(({ task, problems }) => problems.map((problem) => `  ${task.name}: ${problem}`)),
  ];
}

const count = (tasks: number): string => `${String(tasks)} ${tasks === 1 ? "task" : "tasks"}`;
