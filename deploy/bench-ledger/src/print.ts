import type { Spread } from "./spread.ts";
import { judge, type Target } from "./target.ts";

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A figure with its target, on a line of its own below what it was measured by. */
export function printJudged(figure: string, value: number, target: Target): void {
  print(`      ${figure}: ${judge(value, target).text}`);
}

export function ms(spread: Spread): string {
  return `p50 ${spread.p50.toFixed(1)} ms, p99 ${spread.p99.toFixed(1)} ms, p99.9 ${spread.p999.toFixed(1)} ms`;
}
