import type { Outcome } from "./suite.ts";

const findingsShown = 20;

/** One line a number. */
export function linesOf(suite: string, { what, tried, findings, figures }: Outcome): readonly string[] {
  const head = `${suite.padEnd(10)}${what.padEnd(72)}${String(tried).padStart(7)}${String(findings.length).padStart(6)}`;
  const shown = findings.slice(0, findingsShown).map((finding) => `          FOUND  ${finding.slice(0, 600)}`);
  const rest = findings.length - shown.length;
  return [
    figures === undefined ? head : `${head}   ${figures}`,
    ...shown,
    ...(rest > 0 ? [`          … and ${String(rest)} more`] : []),
  ];
}

export const heading = `${"suite".padEnd(10)}${"what".padEnd(72)}${"tried".padStart(7)}${"found".padStart(6)}`;
