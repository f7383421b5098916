import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { ReadMarks, type ReadMark } from "./read-marks.ts";

const marked = (count: number): ReadMarks => {
  const marks = new ReadMarks();
  for (let seq = 1; seq <= count; seq += 1) marks.add({ seq, storedAtMs: seq * 10 });
  return marks;
};

describe("what stands", () => {
  test("given any end is lost, then the newest mark before it is found with few questions, and the rest is forgotten", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_000 }), fc.nat(1_000), async (count, end) => {
        const marks = marked(count);
        let asked = 0;
        const found = await marks.rewind(({ seq }) => {
          asked += 1;
          return Promise.resolve(seq <= end);
        });
        expect(found?.seq ?? 0).toBe(Math.min(count, end));
        expect(marks.newest).toEqual(found);
        expect(asked).toBeLessThanOrEqual(10);
      }),
    );
  });

  test("given nobody can say what stands, then nothing is forgotten", async () => {
    const marks = marked(10);
    await expect(marks.rewind(() => Promise.reject(new Error("away")))).rejects.toThrow("away");
    expect(marks.newest?.seq).toBe(10);
  });
});

test("given a million batches, then the marks stay bounded, reach back to the first and are dense at the end", async () => {
  const marks = marked(1_000_000);
  expect(marks.size).toBeLessThanOrEqual(1_024);
  const seen: ReadMark[] = [];
  await marks.rewind((mark) => {
    seen.push(mark);
    return Promise.resolve(mark.seq <= 999_700);
  });
  expect(marks.newest?.seq).toBe(999_700);
  await marks.rewind(({ seq }) => Promise.resolve(seq < 2));
  expect(marks.newest?.seq).toBe(1);
});

test("given the caller has kept less than was marked, then the rest is not trusted", () => {
  const marks = marked(10);
  marks.forgetAfter(4);
  expect(marks.newest).toEqual({ seq: 4, storedAtMs: 40 });
});
