import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { nextPage, type DatedLine, type Log, type MergedPage, type Progress } from "../src/shared/merged-audit.ts";

// Several logs as one list: whatever they hold and however long their pages are, nothing is lost, doubled or out of order.

const time = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();

/** A log of these lines, newest first, that answers `size` of them at once. */
function logOf(lines: readonly DatedLine[], size: number): Log<DatedLine> {
  return (cursor) => {
    const start = Number(cursor ?? 0);
    const end = start + size;
    return Promise.resolve({ lines: lines.slice(start, end), nextCursor: end < lines.length ? String(end) : null });
  };
}

async function readAll(logs: readonly Log<DatedLine>[]): Promise<readonly DatedLine[][]> {
  const pages: DatedLine[][] = [];
  let progress: Progress<DatedLine> | null = null;
  do {
    const page: MergedPage<DatedLine> = await nextPage(logs, progress);
    pages.push([...page.lines]);
    progress = page.progress;
  } while (progress !== null);
  return pages;
}

const log = fc.record({
  minutes: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 12 }),
  size: fc.integer({ min: 1, max: 5 }),
});

describe("audit logs as one list", () => {
  test("given any logs, then each line comes once, newest first, and no page but a first one is empty", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(log, { minLength: 1, maxLength: 4 }), async (drawn) => {
        const logs = drawn.map(({ minutes, size }, index) => {
          const lines = minutes
            .toSorted((one, other) => other - one)
            .map((minute, place) => ({ at: time(minute), id: `${String(index)}/${String(place)}` }));
          return { lines, log: logOf(lines, size) };
        });
        const pages = await readAll(logs.map((each) => each.log));
        const all = pages.flat();
        expect(all.map(({ at }) => at)).toEqual(
          all
            .map(({ at }) => at)
            .toSorted()
            .toReversed(),
        );
        expect(new Set(all)).toEqual(new Set(logs.flatMap(({ lines }) => lines)));
        expect(all).toHaveLength(logs.reduce((sum, { lines }) => sum + lines.length, 0));
        for (const page of pages.slice(1)) expect(page.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test("given a log that cannot be read, then there is no list, because it would have a gap", async () => {
    const broken: Log<DatedLine> = () => Promise.reject(new Error("away"));
    await expect(nextPage([logOf([{ at: time(1) }], 1), broken], null)).rejects.toThrow("away");
  });
});
