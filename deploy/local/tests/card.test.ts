import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { curlLines, renderCard } from "../card.ts";
import type { CardFacts, SupervisorMessage } from "../protocol.ts";
import { formatAge, renderMessage } from "../render.ts";
import { temporaryFolder } from "./_dummy.ts";

const facts: CardFacts = {
  dashboardUrl: "http://localhost:8080",
  apiUrl: "http://localhost:8080/v1",
  gatewayUrl: "http://localhost:8090",
  userEmail: "demo@codex.local",
  operatorEmail: "ops@codex.local",
  keyPrefix: "cx_live_Ab12",
  firstRequest: {
    model: "demo-small",
    requestId: "req_01h2xcejqtf2nbrexx3vqjhp41",
    answer: "Hello",
    inputTokens: 38,
    outputTokens: 61,
    durationMs: 990,
    charged: "0.087400",
    before: "1000.000000",
    after: "999.912600",
  },
  readyInMs: 31_400,
};

test("the box is closed: every line of it is equally wide", () => {
  const box = renderCard(facts).filter((line) => /^[╭│├╰]/.test(line));
  expect(new Set(box.map((line) => [...line].length)).size).toBe(1);
  expect(box[0]).toMatch(/^╭─ Open ─+╮$/);
  expect(box.at(-1)).toMatch(/^╰─+╯$/);
});

test("it shows addresses, accounts, the sum, and how long it took; after a second start also the ages", () => {
  const card = renderCard(facts).join("\n");
  for (const part of [
    "http://localhost:8080 ",
    "http://localhost:8080/v1",
    "demo@codex.local",
    "ops@codex.local",
    "cx_live_Ab12…",
  ])
    expect(card).toContain(part);
  expect(card).toContain("1000.000000 − 0.087400 = 999.912600 tokens");
  expect(card).toContain("ready in 31 s");
  const again = renderCard(facts, { up: "3 h 0 min", restarts: 2 }).at(-1);
  expect(again).toBe("already running: up 3 h 0 min, 2 service restarts");
});

test("a wider fact widens the box instead of breaking it", () => {
  const box = renderCard({ ...facts, dashboardUrl: `http://${"x".repeat(100)}.example` }).filter((line) =>
    /^[╭│├╰]/.test(line),
  );
  expect(new Set(box.map((line) => [...line].length)).size).toBe(1);
});

test("the curl command works when pasted into a shell: it reads the key from run.json and sends valid JSON", () => {
  using folder = temporaryFolder();
  mkdirSync(path.join(folder.path, ".codex"));
  writeFileSync(path.join(folder.path, ".codex/run.json"), JSON.stringify({ apiKey: "cx_live_secret" }));
  // A curl that prints its arguments, one a line, takes the place of the real one.
  const script = `curl() { printf '%s\\n' "$@"; }\n${curlLines(facts.apiUrl).join("\n")}\n`;
  const run = spawnSync("/bin/sh", ["-c", script], { cwd: folder.path, encoding: "utf8" });
  const args = run.stdout.trimEnd().split("\n");
  expect(args.slice(0, -1)).toEqual([
    "-N",
    "http://localhost:8080/v1/chat/completions",
    "-H",
    "Authorization: Bearer cx_live_secret",
    "-H",
    "content-type: application/json",
    "-d",
  ]);
  expect(JSON.parse(args.at(-1) ?? "")).toMatchObject({ model: "demo-small", stream: true });
});

test("no escape sequence is printed unless colour is asked for", () => {
  const done: SupervisorMessage = { kind: "done", step: "build", detail: "unchanged", ms: 1234, extra: [] };
  expect(renderMessage(done, { colour: false, replace: false })[0]).toMatch(/^ {2}✔ build +unchanged +1\.2 s$/);
  expect(renderMessage(done, { colour: true, replace: false })[0]).toContain("\u001b[32m✔");
  expect(renderMessage({ kind: "begin", step: "build" }, { colour: false, replace: false })).toEqual([]);
});

test.each([
  [0, "0 s"],
  [59_999, "59 s"],
  [61_000, "1 min 1 s"],
  [3 * 3_600_000, "3 h 0 min"],
  [49 * 3_600_000, "2 d 1 h"],
])("an age of %d ms reads %s", (ms, text) => {
  expect(formatAge(ms)).toBe(text);
});
