import type { Verdict } from "./compare.ts";
import type { Cores } from "./cores.ts";
import type { LedgerCheck } from "./ledger-check.ts";
import type { LoadName } from "./loads.ts";
import type { Measure } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import type { BenchPlace } from "./place.ts";
import type { System } from "./system.ts";
import type { Target } from "./target.ts";

/** One run: what it works with, and what it has found so far. */
export class Bench {
  readonly place: BenchPlace;
  readonly system: System;
  readonly cores: Cores;
  readonly options: BenchOptions;
  /** Whole answers that clients of our gateways have, and answers that they left in the middle. */
  readonly delivered = { whole: 0, cut: 0 };
  private readonly tables: unknown[] = [];
  private readonly found: Verdict[] = [];

  constructor(parts: Pick<Bench, "place" | "system" | "cores" | "options">) {
    this.place = parts.place;
    this.system = parts.system;
    this.cores = parts.cores;
    this.options = parts.options;
  }

  /** A line for people: standard output, or beside it when that is JSON. */
  say(line: string): void {
    (this.options.json ? process.stderr : process.stdout).write(`${line}\n`);
  }

  table(load: LoadName, kind: "saturated" | "moderate", measures: readonly Measure[], lines: readonly string[]): void {
    for (const line of lines) this.say(line);
    this.tables.push({ load, kind, measures });
  }

  verdicts(list: readonly Verdict[]): void {
    for (const { what, value, text } of list) this.say(`${what} ${value.toFixed(2)}: ${text}`);
    this.found.push(...list);
  }

  count(target: Target, { result }: Measure): void {
    if (target.name !== "ours" && target.name !== "ours, traced") return;
    this.delivered.whole += result.whole;
    this.delivered.cut += result.cut;
  }

  printJson(ledger: LedgerCheck): void {
    if (!this.options.json) return;
    const { found: verdicts, tables } = this;
    const text = JSON.stringify({ tables, verdicts, ledger }, (_name, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
    process.stdout.write(`${text}\n`);
  }
}
