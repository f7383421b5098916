import { existsSync, rmSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { removeInfraData } from "../../libs/testkit/src/data-folder.ts";
import type { Paths } from "./paths.ts";
import { Problem } from "./problem.ts";
import { stop } from "./stop.ts";

/**
 * Stops everything and deletes the local data: databases, streams, spool, ports and the demo profile's key. The secrets in
 * .codex/config.json stay (they fit any data that is made with them), and so do toolchain and packages.
 */
export async function reset(paths: Paths, yes: boolean): Promise<number> {
  if (!yes && !(await confirmed())) {
    process.stdout.write("Nothing was changed.\n");
    return 1;
  }
  await stop(paths);
  const had = existsSync(paths.data);
  removeInfraData(paths.data);
  for (const file of [paths.seedState, paths.runFile]) rmSync(file, { force: true });
  process.stdout.write(
    had ? "Deleted: .codex/data and the demo profile. The next npm start begins anew.\n" : "There was no data.\n",
  );
  return 0;
}

async function confirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new Problem("This deletes all local data and nobody is here to be asked.", {
      hint: "To do it without a question: npm run reset -- --yes",
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(
      "This stops everything and deletes all local data (accounts, keys, balances). Type yes to go on: ",
    );
    return answer.trim().toLowerCase() === "yes";
  } finally {
    terminal.close();
  }
}
