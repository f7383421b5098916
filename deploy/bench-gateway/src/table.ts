import type { Measure } from "./measure.ts";

const columns = [
  "hop",
  "req/s",
  "CPU µs/req",
  "× floor",
  "core",
  "p50 ms",
  "p99 ms",
  "added p50",
  "added p99",
  "1st byte p99",
  "RSS MB",
  "failed",
];

/** A table of one load; "added" is above the upstream asked directly at the same kind of load. */
export function tableOf(measures: readonly Measure[]): readonly string[] {
  const direct = measures.find(({ target }) => target === "direct");
  const floor = measures.find(({ target }) => target === "floor");
  const rows = measures.map((one) => rowOf(one, direct, floor));
  const widths = columns.map((name, index) => Math.max(name.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0))).join(" | ")} |`;
  return [line(columns), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)];
}

function rowOf(one: Measure, direct: Measure | undefined, floor: Measure | undefined): readonly string[] {
  const { latency, firstByte, failed } = one.result;
  const added = (which: "p50" | "p99"): string =>
    direct === undefined || direct === one ? "" : (latency[which] - direct.result.latency[which]).toFixed(2);
  const hop = !Number.isNaN(one.cpuMicros);
  const failures = Object.entries(failed).map(([status, count]) => `${String(count)} × ${status}`);
  return [
    one.target,
    one.perSecond.toFixed(0),
    hop ? one.cpuMicros.toFixed(0) : "",
    hop && floor !== undefined ? (one.cpuMicros / floor.cpuMicros).toFixed(2) : "",
    hop ? one.load.toFixed(2) : "",
    latency.p50.toFixed(2),
    latency.p99.toFixed(2),
    added("p50"),
    added("p99"),
    firstByte.p99.toFixed(2),
    hop ? one.rssMb.toFixed(0) : "",
    failures.length === 0 ? "0" : failures.join(", "),
  ];
}
