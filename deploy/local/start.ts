import { fork, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { renderCard } from "./card.ts";
import { wholeEnvironment } from "./config.ts";
import { lastLines, readJsonIfWhole } from "./files.ts";
import { lockOwner } from "./lock.ts";
import type { Paths } from "./paths.ts";
import { Problem } from "./problem.ts";
import { supervisorMessage, supervisorState, type SupervisorMessage, type SupervisorState } from "./protocol.ts";
import { formatAge, renderMessage } from "./render.ts";

export interface StartOptions {
  readonly paths: Paths;
  readonly colour: boolean;
  readonly detach: boolean;
  readonly portBase: number | undefined;
}

/** A cold start on a slow machine, with room. */
const waitForOtherMs = 600_000;
const pollMs = 250;

/**
 * Starts the supervisor and shows what it tells, until it ends (or, with `detach`, until the card). When one is running
 * already, prints its card. Returns the exit code: 0 after a clean stop, 1 when something failed, 130 after an interrupted start.
 */
export async function start(options: StartOptions): Promise<number> {
  const { paths } = options;
  if (lockOwner(paths.lock) !== undefined) return joinRunning(options);
  mkdirSync(paths.logs, { recursive: true });
  const output = openSync(paths.supervisorLog, "a", 0o600);
  const base = options.portBase === undefined ? [] : ["--port-base", String(options.portBase)];
  const child = fork(fileURLToPath(new URL("main.ts", import.meta.url)), ["supervise", ...base], {
    cwd: paths.root,
    detached: true,
    env: wholeEnvironment(),
    // Node passes our own --conditions=codex:source on.
    stdio: ["ignore", output, output, "ipc"],
  });
  closeSync(output);
  const watched = await watch(child, options);
  if (watched === "refused") return joinRunning(options);
  return watched;
}

/** Shows the supervisor's messages until it ends or we leave it. */
function watch(child: ChildProcess, options: StartOptions): Promise<number | "refused"> {
  return new Promise((resolve) => {
    const screen = new Screen(options.colour);
    let ready = false;
    let interrupted = false;
    let outcome: number | "refused" | undefined;
    // Ctrl-C arrives from the terminal, from npm and from the bootstrap: one is enough, the others change nothing.
    const interrupt = (): void => {
      if (!interrupted) screen.line(ready ? "\n  stopping …" : "\n  stopping what was started …");
      interrupted = true;
      child.kill("SIGTERM");
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
    child.on("message", (value) => {
      const message = supervisorMessage.parse(value);
      screen.show(message);
      if (message.kind === "refused") outcome = "refused";
      if (message.kind === "stopped") outcome = exitCode(message.clean, ready, interrupted);
      if (message.kind !== "ready") return;
      ready = true;
      if (options.detach) leave(child, () => resolve(0));
      else screen.line("\nCtrl-C stops everything. npm start -- --detach leaves it running in the background.");
    });
    child.once("exit", (_code, signal) => {
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(name, interrupt);
      if (outcome === undefined) screen.line(unexpectedEnd(options.paths, signal).join("\n"));
      else if (interrupted) screen.line("  stopped; the data stays in .codex/data");
      resolve(outcome ?? 1);
    });
  });
}

function exitCode(clean: boolean, ready: boolean, interrupted: boolean): number {
  if (interrupted && !ready) return 130;
  return clean ? 0 : 1;
}

function leave(child: ChildProcess, done: () => void): void {
  child.removeAllListeners("exit");
  child.send({ kind: "detach" }, () => {
    child.disconnect();
    child.unref();
    done();
  });
}

function unexpectedEnd(paths: Paths, signal: NodeJS.Signals | null): readonly string[] {
  const how = signal === null ? "" : ` (${signal})`;
  const log = path.relative(paths.root, paths.supervisorLog);
  return [
    "",
    `The supervisor ended unexpectedly${how}. Whatever it started is being stopped; the next start cleans up the rest.`,
    `The last lines of ${log}:`,
    ...lastLines(paths.supervisorLog, 20).map((line) => `    ${line}`),
  ];
}

/** Another start got there first: wait until it is ready, then show its card with ages. */
async function joinRunning(options: StartOptions): Promise<number> {
  const { paths } = options;
  const deadlineMs = performance.now() + waitForOtherMs;
  let told = false;
  for (;;) {
    const owner = lockOwner(paths.lock);
    if (owner === undefined)
      throw new Problem("The start that was running in another terminal has ended.", { hint: "Run npm start again." });
    const state = readJsonIfWhole(paths.supervisorState, supervisorState);
    if (state?.phase === "ready" && state.card !== undefined) return showRunning(options, state, state.card);
    if (state?.phase === "stopping")
      throw new Problem("It is being stopped right now.", { hint: "Run npm start again in a moment." });
    if (!told) process.stdout.write(`  … another npm start (pid ${String(owner.pid)}) is bringing it up; waiting\n`);
    told = true;
    if (performance.now() > deadlineMs)
      throw new Problem("The other start is not getting ready.", {
        hint: "Look at npm run status, or stop it with: npm stop",
      });
    await delay(pollMs);
  }
}

function showRunning(
  options: StartOptions,
  state: SupervisorState,
  card: NonNullable<SupervisorState["card"]>,
): number {
  if (options.portBase !== undefined && new URL(card.dashboardUrl).port !== String(options.portBase)) {
    throw new Problem(`It is running already, on ${card.dashboardUrl}.`, {
      hint: "To move it to other ports: npm stop, then start again with --port-base.",
    });
  }
  const up = formatAge(Date.now() - Date.parse(state.startedAt));
  const restarts = state.services.reduce((sum, service) => sum + service.restarts, 0);
  process.stdout.write(`\n${renderCard(card, { up, restarts }).join("\n")}\n`);
  return 0;
}

/** Writes to the terminal. A "… step" line is overwritten by what follows it, on terminals only. */
class Screen {
  private readonly colour: boolean;
  private open = false;

  constructor(colour: boolean) {
    this.colour = colour;
  }

  show(message: SupervisorMessage): void {
    const terminal = process.stdout.isTTY;
    const lines = renderMessage(message, { colour: this.colour, replace: terminal });
    if (message.kind === "begin" && terminal) {
      process.stdout.write(lines.join("\n"));
      this.open = true;
      return;
    }
    if (lines.length > 0) this.line(lines.join("\n"));
  }

  line(text: string): void {
    // Back to the start of the open line, and erase it (ECMA-48 EL).
    process.stdout.write(`${this.open ? "\r\u001b[2K" : ""}${text}\n`);
    this.open = false;
  }
}
