/** What issue 3 asks of a figure, and how far the figure is from it. */
export interface Target {
  readonly what: string;
  readonly bound: number;
  readonly is: "at least" | "at most";
}

export interface Judged {
  readonly met: boolean;
  /** "0.50 × the target of at least 36000 records/s: missed" */
  readonly text: string;
}

const judged: boolean[] = [];

export function judge(value: number, target: Target): Judged {
  const met = target.is === "at least" ? value >= target.bound : value <= target.bound;
  judged.push(met);
  const ratio = value / target.bound;
  return {
    met,
    text: `${ratio.toFixed(2)} × the target of ${target.is} ${String(target.bound)} ${target.what}: ${met ? "met" : "missed"}`,
  };
}

/** How many figures of this run had a target, and how many met it. */
export function score(): { readonly met: number; readonly of: number } {
  return { met: judged.filter(Boolean).length, of: judged.length };
}
