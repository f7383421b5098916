import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { temporaryFolder } from "./_dummy.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const table = z.object({
  commands: z.record(
    z.string(),
    z.object({
      description: z.string().min(1),
      needs: z.enum(["nothing", "packages", "started"]),
      steps: z.array(z.array(z.string())),
    }),
  ),
});

async function load<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  return schema.parse({ ...((await import(pathToFileURL(path.join(root, file)).href)) as object) });
}

test("package.json has exactly the commands of the table, each through the bootstrap", async () => {
  const { commands } = await load("deploy/local/commands.mjs", table);
  const manifest = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")));
  const expected = Object.fromEntries(
    Object.keys(commands).map((name) => [name, `node deploy/local/bootstrap.mjs ${name}`]),
  );
  expect(manifest.scripts).toEqual(expected);
});

function bootstrap(
  args: readonly string[],
  preload?: string,
): { status: number | null; stdout: string; stderr: string } {
  const flags = preload === undefined ? [] : ["--require", preload];
  return spawnSync(process.execPath, [...flags, path.join(root, "deploy/local/bootstrap.mjs"), ...args], {
    encoding: "utf8",
    timeout: 30_000,
  });
}

test("help prints every command with its description; an unknown command prints the same and fails", async () => {
  const { commands } = await load("deploy/local/commands.mjs", table);
  const help = bootstrap(["help"]);
  expect(help.status).toBe(0);
  for (const [name, { description }] of Object.entries(commands)) {
    expect(help.stdout).toMatch(
      new RegExp(`npm (run )?${name} +${description.slice(0, 20).replaceAll(/[()]/g, "\\$&")}`),
    );
  }
  const unknown = bootstrap(["satrt"]);
  expect(unknown.status).toBe(64);
  expect(unknown.stderr).toContain(`There is no command "satrt".`);
});

test.each(["16.20.2", "17.9.1"])(
  "given Node %s, then one sentence says which Node is needed, without a stack",
  (version) => {
    using folder = temporaryFolder();
    const preload = path.join(folder.path, "old-node.cjs");
    writeFileSync(
      preload,
      `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`,
    );
    // `help`, so that a broken check cannot start anything.
    const run = bootstrap(["help"], preload);
    expect(run.status).toBe(1);
    expect(run.stderr).toContain(`This is Node ${version}, and the first step needs Node 18 or newer`);
    expect(run.stderr).not.toContain("    at ");
  },
);

const steps = z.object({
  explainInstall: z.custom<(tool: string, what: string, output: string) => string>(),
  workspaceManifests: z.custom<(folder: string) => string[]>(),
});

test.each([
  ["npm error code ENOTFOUND", "could not be reached"],
  ["npm error code ECONNREFUSED", "could not be reached"],
  ["npm ERR! code SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
  ["ENOSPC: no space left on device, write", "The disk is full"],
  ["npm error code EINTEGRITY", "not what the lock file promises"],
  ["ERR_PNPM_OUTDATED_LOCKFILE", "pnpm-lock.yaml does not fit"],
  ["npm error code EACCES", "may not write"],
  ["npm error code E407 407 Proxy Authentication Required", "HTTPS_PROXY"],
  ["something new", "failed"],
])("an installer that says %j is explained with %j and its own last lines", async (output, sentence) => {
  const { explainInstall } = await load("deploy/local/bootstrap-steps.mjs", steps);
  const text = explainInstall("npm ci", "the toolchain", output);
  expect(text.split("\n")[0]).toContain(sentence);
  expect(text).toContain(`    ${output}`);
});

test("the install stamp covers the manifest of every workspace package", async () => {
  const { workspaceManifests } = await load("deploy/local/bootstrap-steps.mjs", steps);
  const found = workspaceManifests(root);
  for (const file of [
    "package.json",
    "libs/kernel/package.json",
    "services/auth/package.json",
    "deploy/local/package.json",
    "deploy/demo-upstream/package.json",
  ]) {
    expect(found).toContain(file);
  }
});
