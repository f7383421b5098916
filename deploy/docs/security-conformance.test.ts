import { expect, test } from "@jest/globals";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");

/** Sections 1 to 3 of the requirements, priority 0, and what of priority 1 is built. SEC-23 is for programs that keep a refresh token, which there are none of. */
const required = [
  ...["01", "02", "03", "04", "05", "06", "07", "08", "09", "110"],
  ...["10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "24", "25", "27", "29"],
  ...["30", "31", "32", "33", "34", "35", "36", "40", "41", "42", "44"],
  ...["26", "28", "37", "38", "39", "43", "97", "147"],
];

const rows = readFileSync(path.join(root, "docs/security-conformance.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| SEC-"))
  .map((line) => {
    const [, row = "", what = "", file = "", name = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return { row: row.replace("SEC-", ""), what, file: file.replaceAll("`", ""), name };
  });

test("every row of priority 0, and every one that was built, is in the table", () => {
  const listed = new Set(rows.map(({ row }) => row));
  expect(required.filter((row) => !listed.has(row))).toEqual([]);
});

test.each(rows)("SEC-$row $what: the test that the table names is there", ({ file, name }) => {
  if (file === "none") {
    expect(name).toMatch(/^open: \S/);
    return;
  }
  const full = path.join(root, file);
  expect(existsSync(full)).toBe(true);
  expect(readFileSync(full, "utf8")).toContain(name);
});
