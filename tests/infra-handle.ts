import type { ChildProcess } from "node:child_process";

/** What the global set-up leaves for the global tear-down; Jest runs both in one process, but may load each file anew. */
const key: unique symbol = Symbol.for("codex.test-infra");
const holder: { [key]?: ChildProcess | undefined } = globalThis as object;

export const infraHandle = {
  set(child: ChildProcess): void {
    holder[key] = child;
  },
  take(): ChildProcess | undefined {
    const child = holder[key];
    holder[key] = undefined;
    return child;
  },
};
