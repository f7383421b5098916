import { freePort } from "@codex/testkit";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { score } from "../../bench-ledger/src/target.ts";
import { infraDataFolders, removeInfraData } from "../../../libs/testkit/src/data-folder.ts";
import { startWatchdog } from "../../../libs/testkit/src/watchdog.ts";
import { Bench } from "./bench.ts";
import { startChild } from "./child.ts";
import { layCores, pin } from "./cores.ts";
import { checkLedger, type LedgerCheck } from "./ledger-check.ts";
import { fairness } from "./fairness.ts";
import { explain } from "./explain.ts";
import { readOptions, type BenchOptions } from "./options.ts";
import type { BenchPlace } from "./place.ts";
import { memory, speed } from "./scenarios.ts";
import { startSystem } from "./system.ts";

/** `pnpm bench:gateway`: the gateway, and what one may hold it against, in one run under one load. Exit code 1 when the ledger is off. */

async function run(options: BenchOptions): Promise<boolean> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-bench-gateway-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  mkdirSync(path.join(dataDir, "logs"), { mode: 0o700 });
  const watchdog = startWatchdog(infraDataFolders(dataDir));
  const cores = layCores();
  // All that is started from here on inherits it; the tested processes are moved to theirs.
  pin(process.pid, cores.rest);
  const upstreamPort = await freePort();
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const place: BenchPlace = { dataDir, watchdog, upstreamPort, log };
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const upstream = await startChild(
      {
        name: "upstream",
        command: process.execPath,
        args: ["--no-warnings", path.join(import.meta.dirname, "upstream.ts"), String(upstreamPort)],
        logFile: path.join(dataDir, "logs/upstream.log"),
        readyUrl: `http://127.0.0.1:${String(upstreamPort)}/count`,
      },
      watchdog,
    );
    closers.push(() => upstream.stop());
    const system = await startSystem(place);
    closers.push(() => system.stop());
    const bench = new Bench({ place, system, cores, options });
    bench.say(`${cores.text}; load of the machine at the start: ${load()}`);
    await speed(bench);
    await memory(bench);
    await fairness(bench);
    await explain(bench);
    const ledger = await checkLedger(system, { delivered: bench.delivered.whole, cut: bench.delivered.cut });
    sayLedger(bench, ledger);
    bench.printJson(ledger);
    return ledger.difference === 0n && ledger.problems.length === 0;
  } finally {
    for (const close of closers.reverse()) await close();
    watchdog.release();
    removeInfraData(dataDir);
  }
}

function sayLedger(bench: Bench, ledger: LedgerCheck): void {
  bench.say(
    `\nledger: delivered ${String(ledger.deliveredWhole)}, charged ${String(ledger.chargedWhole)}, ` +
      `left by clients ${String(bench.delivered.cut)}, rows ${String(ledger.rows)}, difference ${String(ledger.difference)}`,
  );
  for (const problem of ledger.problems) bench.say(`  ${problem}`);
  const { met, of } = score();
  bench.say(`load of the machine at the end: ${load()}; ${String(met)} of ${String(of)} targets met`);
}

function load(): string {
  return (os.loadavg()[0] ?? 0).toFixed(1);
}

if (!(await run(readOptions(process.argv.slice(2))))) process.exitCode = 1;
