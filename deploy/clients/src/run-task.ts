import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import type { Agent, Task } from "./agent.ts";
import { agentEnvironment } from "./config.ts";
import { runProgram } from "./run-program.ts";

/** opencode took a minute on a machine of two cores with a load of 13. */
const taskTimeoutMs = 300_000;

export interface TaskOptions {
  readonly agent: Agent;
  readonly task: Task;
  readonly program: string;
  /** Made here; what the agent said stays in it. */
  readonly folder: string;
  readonly gatewayUrl: string;
  readonly apiKey: string;
  readonly signal: AbortSignal;
  readonly watchdog: Pick<Watchdog, "watch" | "forget">;
}

/** What is wrong with what the agent did; nothing when its command ran and its answer tells what came out. */
export async function runTask(options: TaskOptions): Promise<readonly string[]> {
  const { agent, task, program, folder } = options;
  const [home, work] = [path.join(folder, "home"), path.join(folder, "work")];
  for (const made of [home, work]) mkdirSync(made, { recursive: true, mode: 0o700 });
  const marker = `proof-${randomBytes(6).toString("hex")}`;
  // The capitals are in no request before the command has run.
  const command = `printf %s ${marker} > proof.txt && tr a-z A-Z < proof.txt`;
  const place = { program, home, work, gatewayUrl: options.gatewayUrl, apiKey: options.apiKey, command };
  const { args, env, stdin, files } = task.invoke(place);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
  }
  const end = await runProgram(
    {
      command: program,
      args,
      cwd: work,
      env: { ...agentEnvironment(), HOME: home, ...env },
      stdin,
      timeoutMs: taskTimeoutMs,
      signal: options.signal,
    },
    options.watchdog,
  );
  writeFileSync(path.join(folder, "output.txt"), `${end.how}\n--- stdout\n${end.stdout}\n--- stderr\n${end.stderr}`);
  const problems: string[] = [];
  if (!end.clean) problems.push(`it ended with ${end.how}`);
  const written = path.join(work, "proof.txt");
  if (!existsSync(written) || readFileSync(written, "utf8") !== marker) problems.push("the command did not run");
  const answer = agent.answer(end.stdout);
  if (answer === undefined) problems.push("no answer came");
  else if (!answer.includes(marker.toUpperCase())) problems.push("the answer does not have the command's output");
  return problems;
}
