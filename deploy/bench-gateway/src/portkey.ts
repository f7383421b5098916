import { freePort } from "@codex/testkit";
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { startChild } from "./child.ts";
import { fetchedFolder, npmEnvironment } from "./config.ts";
import type { BenchPlace } from "./place.ts";
import { targetOf, type Target } from "./target.ts";

const run = promisify(execFile);
const manifests = path.resolve(import.meta.dirname, "../portkey");
const folder = path.join(fetchedFolder, "portkey");
const program = path.join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");

/** By the lock file of ../portkey, without install scripts, into a folder that nothing else reads. */
async function install(log: (line: string) => void): Promise<void> {
  if (existsSync(program)) return;
  log("@portkey-ai/gateway is fetched from npm (MIT, 25 MB, for the bench alone)");
  mkdirSync(folder, { recursive: true });
  for (const name of ["package.json", "package-lock.json"])
    copyFileSync(path.join(manifests, name), path.join(folder, name));
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await run("npm", args, { cwd: folder, env: npmEnvironment(), timeout: 300_000 });
}

/** The Node peer: it neither authenticates nor bills. Undefined, with a line that says why, when it cannot be installed. */
export async function startPortkey(place: BenchPlace, workers: number): Promise<Target | undefined> {
  try {
    await install(place.log);
  } catch (error) {
    place.log(`portkey could not be installed: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : ""}`);
    return undefined;
  }
  const children = [];
  for (let worker = 1; worker <= workers; worker += 1) {
    const port = await freePort();
    const url = `http://127.0.0.1:${String(port)}`;
    const child = await startChild(
      {
        name: "portkey",
        command: process.execPath,
        args: ["--no-warnings", program, `--port=${String(port)}`, "--headless"],
        env: { NODE_ENV: "production", PORT: String(port) },
        logFile: path.join(place.dataDir, "logs/portkey.log"),
        readyUrl: url,
      },
      place.watchdog,
    );
    children.push({ child, url });
  }
  return targetOf("portkey", children, {
    headers: ["x-portkey-provider: openai", `x-portkey-custom-host: http://127.0.0.1:${String(place.upstreamPort)}/v1`],
  });
}
