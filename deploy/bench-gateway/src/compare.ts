import type { Judged, Target as Bound } from "../../bench-ledger/src/target.ts";
import { judge } from "../../bench-ledger/src/target.ts";
import type { LoadName } from "./loads.ts";
import type { Measure } from "./measure.ts";
import type { TargetName } from "./target.ts";

/** One figure of ours against its target in issue 4. */
export interface Verdict extends Judged {
  readonly what: string;
  readonly value: number;
}

const floorMax: Readonly<Record<LoadName, number>> = { json: 1.6, sse: 1.3, paced: 1.3 };
const portkeyMin: Readonly<Record<"json" | "sse", number>> = { json: 6, sse: 3 };
const addedP99MaxMs = 1.5;

function verdict(what: string, value: number, bound: Bound): Verdict {
  return { what, value, ...judge(value, bound) };
}

const of = (measures: readonly Measure[], name: TargetName): Measure | undefined =>
  measures.find(({ target }) => target === name);

/** CPU a request against the floor, and the rate against Portkey's, of one worker each. */
export function compareSaturated(load: LoadName, measures: readonly Measure[]): readonly Verdict[] {
  const [ours, floor, portkey] = [of(measures, "ours"), of(measures, "floor"), of(measures, "portkey")];
  const found: Verdict[] = [];
  if (ours && floor) {
    const bound = { what: "× the floor", bound: floorMax[load], is: "at most" } as const;
    found.push(verdict("CPU a request, ours to the floor", ours.cpuMicros / floor.cpuMicros, bound));
  }
  if (ours && portkey && portkey.result.completed > 0 && load !== "paced") {
    const bound = { what: "× Portkey's", bound: portkeyMin[load], is: "at least" } as const;
    found.push(verdict("requests a second, ours to Portkey's", ours.perSecond / portkey.perSecond, bound));
  }
  const traced = of(measures, "ours, traced");
  if (ours && traced) {
    const bound = { what: "× without", bound: 1.1, is: "at most" } as const;
    found.push(verdict("CPU a request with every trace exported", traced.cpuMicros / ours.cpuMicros, bound));
  }
  return found;
}

/** What ours adds to the p99 beyond what nginx adds, at the same moderate rate. */
export function compareModerate(measures: readonly Measure[]): readonly Verdict[] {
  const [ours, nginx] = [of(measures, "ours"), of(measures, "nginx")];
  if (!ours || !nginx) return [];
  const above = ours.result.latency.p99 - nginx.result.latency.p99;
  return [verdict("p99 above nginx's", above, { what: "ms", bound: addedP99MaxMs, is: "at most" })];
}
