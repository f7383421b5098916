import { afterAll, describe, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBreachList } from "./breach-list.ts";

const folder = mkdtempSync(join(tmpdir(), "codex-breached-"));
afterAll(() => rmSync(folder, { recursive: true }));

const sha1 = (text: string): string => createHash("sha1").update(text, "utf8").digest("hex").toUpperCase();
let files = 0;
function fileOf(text: string): string {
  const path = join(folder, `list-${String((files += 1))}`);
  writeFileSync(path, text);
  return path;
}
const lines = (passwords: readonly string[], toLine = (hash: string): string => hash): string =>
  passwords
    .map(sha1)
    .toSorted()
    .map((hash) => `${toLine(hash)}\n`)
    .join("");

describe("a mounted list of breached passwords (SEC-12)", () => {
  const listed = Array.from({ length: 5_000 }, (_none, index) => `listed password ${String(index)}`);

  test.each([
    ["hashes alone", lines(listed)],
    [
      "hashes and counts of different lengths",
      lines(listed, (hash) => `${hash}:${String(Number(`0x${hash.slice(0, 6)}`))}`),
    ],
    ["lines that end as on Windows", lines(listed).replaceAll("\n", "\r\n")],
    ["no newline at its end", lines(listed).trimEnd()],
    ["one line", lines(listed.slice(0, 1))],
    ["lines that fit no block", lines(listed.slice(0, 137))],
  ])(
    "given %s, when every password of it and a thousand others are looked for, then exactly the listed are found",
    async (_what, text) => {
      const list = await openBreachList(fileOf(text));
      try {
        const there = listed.filter((password) => text.includes(sha1(password)));
        expect(there.length).toBeGreaterThan(0);
        const found = await Promise.all(there.map((password) => list.has(password)));
        expect(found.filter((is) => !is)).toEqual([]);
        const others = Array.from({ length: 1_000 }, () => randomBytes(9).toString("base64"));
        expect((await Promise.all(others.map((password) => list.has(password)))).filter(Boolean)).toEqual([]);
      } finally {
        await list.close();
      }
    },
  );

  const sorted = lines(listed.slice(0, 500));
  const reversed = sorted.trimEnd().split("\n").toReversed().join("\n");
  test.each([
    ["is empty", "", /is empty/],
    ["holds passwords instead of hashes", "password\nletmein\n", /has no hash at byte 0/],
    ["is in small letters", sorted.toLowerCase(), /has no hash at byte 0/],
    ["is not sorted", reversed, /is not in order/],
    ["is cut off in the middle of a line", sorted.slice(0, -20), /has no hash/],
    ["holds something else further on", `${sorted}${"FF".repeat(20)} is not good\n`, /has no hash/],
    ["is one endless line", "A".repeat(100_000), /has no hash/],
  ])(
    "given a file that %s, when it is opened, then the error names it and says what is wrong",
    async (_what, text, problem) => {
      const path = fileOf(text);
      await expect(openBreachList(path)).rejects.toThrow(problem);
      await expect(openBreachList(path)).rejects.toThrow(path);
    },
  );

  test("given no such file, then the error names the setting; given a file that goes away while it is open, then nothing passes unlooked at", async () => {
    await expect(openBreachList(join(folder, "missing"))).rejects.toThrow(/AUTH_BREACHED_PASSWORDS_FILE/);
    const list = await openBreachList(fileOf(sorted));
    await list.close();
    await expect(list.has("anything")).rejects.toMatchObject({ code: "service_unavailable" });
  });
});
