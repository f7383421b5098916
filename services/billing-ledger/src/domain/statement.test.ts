import { describe, expect, test } from "@jest/globals";
import { newId } from "@codex/kernel";
import fc from "fast-check";
import { byteOrderMark, csvHeader, csvRow } from "./csv.ts";
import { mergeStatement, monthBounds, type ChainSlice, type Movement, type StatementLine } from "./statement.ts";

type Step = { readonly bucket: "paid" | "bonus"; readonly amount: bigint; readonly gapMs: number };

const steps = fc.array(
  fc.record({
    bucket: fc.constantFrom<"paid" | "bonus">("paid", "bonus"),
    amount: fc.bigInt({ min: -1_000n, max: 1_000n }).filter((amount) => amount !== 0n),
    // Overlapping transactions: the later booking may carry the earlier time.
    gapMs: fc.integer({ min: -3, max: 10 }),
  }),
  { maxLength: 40 },
);

/** The two chains that the steps leave behind, and the balances after each step. */
function book(list: readonly Step[]): { paid: Movement[]; bonus: Movement[] } {
  const chains: Record<"paid" | "bonus", Movement[]> = { paid: [], bonus: [] };
  let atMs = 1_800_000_000_000;
  for (const step of list) {
    const chain = chains[step.bucket];
    atMs += step.gapMs;
    chain.push({
      bucket: step.bucket,
      version: chain.length + 1,
      transferId: newId("trf"),
      at: new Date(atMs),
      kind: "grant",
      amount: step.amount,
      balanceAfter: (chain.at(-1)?.balanceAfter ?? 0n) + step.amount,
      reason: null,
      usageCount: null,
    });
  }
  return chains;
}

function sliceOf(chain: readonly Movement[], head: number, limit: number): ChainSlice {
  const movements = chain
    .slice(0, head)
    .toReversed()
    .slice(0, limit + 1);
  return { movements, headBalance: head === 0 ? 0n : (chain[head - 1]?.balanceAfter ?? 0n) };
}

function readAll(chains: { paid: Movement[]; bonus: Movement[] }, limit: number): StatementLine[] {
  const all: StatementLine[] = [];
  let position = { paid: chains.paid.length, bonus: chains.bonus.length };
  for (;;) {
    const page = mergeStatement(
      { paid: sliceOf(chains.paid, position.paid, limit), bonus: sliceOf(chains.bonus, position.bonus, limit) },
      position,
      limit,
    );
    all.push(...page.lines);
    if (!page.next) return all;
    expect(page.lines).toHaveLength(limit);
    position = page.next;
  }
}

describe("mergeStatement", () => {
  test("given any two chains and any page size, then every movement comes once, in order of its bucket, and each total is the one before plus the amount", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 7 }), (list, limit) => {
        const chains = book(list);
        const lines = readAll(chains, limit);
        for (const bucket of ["paid", "bonus"] as const) {
          expect(lines.filter((line) => line.bucket === bucket).map(({ version }) => version)).toEqual(
            chains[bucket].map(({ version }) => version).toReversed(),
          );
        }
        const oldestFirst = lines.toReversed();
        let total = 0n;
        for (const line of oldestFirst) {
          total += line.amount;
          expect(line.totalBalance).toBe(total);
        }
      }),
    );
  });

  test("given any page size, then the lines are the same: pages only cut", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 7 }), (list, limit) => {
        const chains = book(list);
        expect(readAll(chains, limit)).toEqual(readAll(chains, 1_000));
      }),
    );
  });

  test("given one batch that took from both buckets, then the paid part is the newer line", () => {
    const chains = book([
      { bucket: "bonus", amount: -5n, gapMs: 0 },
      { bucket: "paid", amount: -7n, gapMs: 0 },
    ]);
    expect(readAll(chains, 10).map(({ bucket }) => bucket)).toEqual(["paid", "bonus"]);
  });
});

test.each([
  ["2026-11", "2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"],
  ["2026-12", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"],
  ["2028-02", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z"],
])("given the month %s, then its bounds are %s and %s", (month, from, to) => {
  const bounds = monthBounds(month);
  expect([bounds.from.toISOString(), bounds.to.toISOString()]).toEqual([from, to]);
});

describe("csv", () => {
  test.each([
    ["=1+1", `"'=1+1"`],
    ["+7", `"'+7"`],
    ["-12", `"'-12"`],
    ["@SUM(A1)", `"'@SUM(A1)"`],
    ["\t=1", `"'\t=1"`],
    ["\r=1", `"'\r=1"`],
    ["\n=1", `"'\n=1"`],
    ["＝1", `"'＝1"`],
    ['say "hi", then\r\ngo', '"say ""hi"", then\r\ngo"'],
    ["плюс", '"плюс"'],
    ["", '""'],
  ])("given the text %j, then its cell is %j", (text, cell) => {
    expect(csvRow([{ text }])).toBe(`${cell}\r\n`);
  });

  test("given numbers, then they stay numbers, negative ones as well, and nothing else passes as one", () => {
    expect(csvRow([{ number: "-12.500000" }, { number: 7 }, { number: null }, { text: null }])).toBe(
      "-12.500000,7,,\r\n",
    );
    for (const number of ["-1+1", "=1", "1e3", "", " 1", "1."]) expect(() => csvRow([{ number }])).toThrow();
  });

  test("given any text cells, then a reader by RFC 4180 gets them back, with at most an apostrophe in front", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), (texts) => {
        const row = csvRow(texts.map((text) => ({ text })));
        const cells = [...row.matchAll(/"((?:[^"]|"")*)"(?:,|\r\n$)/g)].map((match) =>
          (match[1] ?? "").replaceAll('""', '"'),
        );
        expect(cells.map((cell, index) => (cell === texts[index] ? cell : cell.slice(1)))).toEqual(texts);
        for (const cell of cells) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
      }),
    );
  });

  test("given a header, then it is a row of quoted names; the mark is U+FEFF", () => {
    expect(csvHeader(["time", "amount"])).toBe('"time","amount"\r\n');
    expect(Buffer.from(byteOrderMark).toString("hex")).toBe("efbbbf");
  });
});
