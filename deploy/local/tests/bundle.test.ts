import { afterAll, describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { services } from "../services.ts";

// What `npm test` has built before it runs.

const root = fileURLToPath(new URL("../../..", import.meta.url));
/** Below the system's own, so that no node_modules is above it. */
const elsewhere = mkdtempSync(path.join(tmpdir(), "codex-bundle-"));
writeFileSync(path.join(elsewhere, "package.json"), '{ "type": "module" }');

afterAll(() => rmSync(elsewhere, { recursive: true, force: true }));

function copied(folder: string): string {
  const to = path.join(elsewhere, path.basename(folder));
  cpSync(path.join(root, folder, "dist"), to, { recursive: true });
  return to;
}

function run(program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, ...args], {
    env,
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, text: stdout + stderr };
}

const ours = services.filter(({ folder }) => folder.startsWith("services/"));

describe.each(ours.map(({ name, folder }) => [name, folder]))("%s, without any package beside it", (_name, folder) => {
  test("reads its settings, and says which are missing", () => {
    const { status, text } = run(path.join(copied(folder), "main.js"), ["--validate"], { NODE_ENV: "production" });
    expect(text).toContain("--validate checks it without starting");
    expect(text).not.toContain("ERR_MODULE_NOT_FOUND");
    expect(status).toBe(1);
  });
});

/** Asks a worker thread one thing; answers what it says. */
const ask = `
  const [program, task] = process.argv.slice(1);
  const worker = new (require("node:worker_threads").Worker)(program);
  worker.on("message", (answer) => {
    console.log(JSON.stringify(answer));
    process.exit(0);
  });
  worker.postMessage(JSON.parse(task));`;

test.each([
  ["gateway-proxy", "count-worker.js", { id: 1, pieces: ["one two three"] }, { id: 1, tokens: 3 }],
  [
    "auth",
    "bcrypt-worker.js",
    { id: 1, kind: "verify", input: "a", hash: "no hash" },
    { id: 1, ok: true, value: false },
  ],
])("the worker thread of %s is beside its program, whole too", (service, worker, task, answer) => {
  const program = path.join(copied(`services/${service}`), worker);
  const { text } = run("--eval", [ask, program, JSON.stringify(task)], {});
  expect(JSON.parse(text)).toEqual(answer);
});
