import type { Attributes, Meter } from "@opentelemetry/api";

/**
 * Counters for hot paths. `Counter.add(n, attributes)` of OpenTelemetry sorts and hashes the attributes on every call;
 * here a label set is looked up once, held by the caller, and counting is one addition. Values are read at scrape time.
 */
export interface BoundCounter {
  /** `by` defaults to 1 and must not be negative; not finite or negative amounts are ignored. */
  add(by?: number): void;
}

export interface CheapCounter extends BoundCounter {
  /** The counter of one label set; the same labels give the same counter. Labels are few and from closed sets. */
  with(labels: Readonly<Record<string, string>>): BoundCounter;
}

const labelSetsMax = 1_000;

interface Cell extends BoundCounter {
  readonly labels: Attributes;
  value: number;
}

function createCell(labels: Attributes): Cell {
  const cell: Cell = {
    labels,
    value: 0,
    add(by = 1) {
      if (by >= 0 && by < Number.POSITIVE_INFINITY) cell.value += by;
    },
  };
  return cell;
}

/**
 * `name` in Prometheus form without `_total`. At most 1,000 label sets; what comes after them is counted under
 * `{overflow="true"}`, so that a label from outside cannot fill the memory.
 */
export function createCounter(meter: Meter, name: string, description: string): CheapCounter {
  const cells = new Map<string, Cell>();
  const cellOf = (key: string, labels: Attributes): Cell => {
    let cell = cells.get(key);
    if (!cell) {
      cell = createCell(labels);
      cells.set(key, cell);
    }
    return cell;
  };
  const plain = createCell({});
  let labelled = false;
  meter.createObservableCounter(name, { description }).addCallback((result) => {
    if (!labelled || plain.value > 0) result.observe(plain.value);
    for (const cell of cells.values()) result.observe(cell.value, cell.labels);
  });
  return {
    add: plain.add,
    with(labels) {
      labelled = true;
      const entries = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
      const key = JSON.stringify(entries);
      if (!cells.has(key) && cells.size >= labelSetsMax) return cellOf("overflow", { overflow: "true" });
      return cellOf(key, Object.fromEntries(entries));
    },
  };
}
