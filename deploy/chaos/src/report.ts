import type { KillRecord } from "./recovery.ts";
import type { RunResult } from "./run.ts";

/** The wanted bound of a recovery, seconds. */
const recoveryWantedS = 5;

/** The lines for a person. The first is the one that the whole run is about. */
export function reportLines(result: RunResult): readonly string[] {
  const { verdict, kills, inserted, duplicates, sentAgain } = result;
  const { delivered, charged, lost, doubled, overspent, ledgerDifference } = verdict;
  return [
    `delivered ${String(delivered)}, charged ${String(charged)}, lost ${String(lost.length)}, ` +
      `doubled ${String(doubled.length)}, overspent ${String(overspent.length)}, ledger difference ${String(ledgerDifference)}`,
    `requests: ${String(result.sent)} sent (${byName(result.answers)}), ${String(result.heldBack)} held back`,
    `duplicates per real event: ${ratio(duplicates, inserted)} (${String(duplicates)} of ${String(inserted)}), ` +
      `of which faults put ${String(sentAgain)} into the stream: ${ratio(Math.max(0, duplicates - sentAgain), inserted)} without them`,
    ...recoveryLines(kills),
    `done: ${byName(result.actions) || "nothing"}`,
    `quiet ${result.quietAfterS.toFixed(1)} s after the last fault was healed; ${String(result.seconds)} s in all`,
    ...section("ended by themselves and were started again", result.endedByItself),
    ...section("not at rest", result.restless),
    ...section("lost", lost.slice(0, 20)),
    ...section("doubled", doubled.slice(0, 20)),
    ...section("overspent", overspent.slice(0, 20)),
    ...section("not as it must be", verdict.findings),
    ...(result.folder === undefined
      ? []
      : [`logs and data: ${result.folder} (logs/chaos.jsonl says what was done when)`]),
    `scenario ${result.scenario}, seed ${String(result.seed)}: ${result.clean ? "clean" : "NOT CLEAN"}`,
  ];
}

/** For scripts: the same facts, bigint as text. */
export function reportJson(result: RunResult): string {
  return JSON.stringify(result, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function recoveryLines(kills: readonly KillRecord[]): string[] {
  if (kills.length === 0) return [];
  const kinds = [...new Set(kills.map(({ kind }) => kind))].sort();
  const all = timed(kills);
  return [
    `kills: ${kinds.map((kind) => `${kind} ${String(kills.filter((kill) => kill.kind === kind).length)}`).join(", ")}`,
    `recovery of kills with nothing else going on, seconds (wanted: at most ${String(recoveryWantedS)}):`,
    ...kinds.map((kind) => `  ${kind.padEnd(14)}${distribution(timed(kills.filter((kill) => kill.kind === kind)))}`),
    `  ${"all".padEnd(14)}${distribution(all)}`,
  ];
}

function timed(kills: readonly KillRecord[]): number[] {
  return kills.flatMap(({ recoveredS, overlapped }) => (recoveredS === undefined || overlapped ? [] : [recoveredS]));
}

function distribution(values: readonly number[]): string {
  if (values.length === 0) return "none timed";
  const sorted = [...values].sort((left, right) => left - right);
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(2);
  return `n ${String(sorted.length)}, median ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`;
}

function byName(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, left], [, right]) => right - left)
    .map(([name, count]) => `${name} ${String(count)}`)
    .join(", ");
}

function ratio(part: number, whole: number): string {
  return whole === 0 ? "none" : (part / whole).toFixed(3);
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
}
