import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { commands, helpText } from "./commands.mjs";

/**
 * Glossary
 *   toolchain  the pinned Node and pnpm, installed by npm from deploy/local/toolchain/package-lock.json to .codex/toolchain
 *   stamp      a file that holds the hash of what a finished step was made from; the step is skipped while the hash fits,
 *              and then nothing asks the network
 *
 * Plain JavaScript for Node 18: this file runs before anything is installed.
 */

const npmMajorMin = 8;
const nodeMajorFallbackMin = 24;
const lockWaitMs = 15 * 60_000;
const registryAnswerHint =
  "Nothing was lost: run the same command again, it goes on from here. Behind a proxy set HTTPS_PROXY; for a mirror of your own set npm_config_registry.";

/** A failure that was foreseen; its message is all that the user needs. */
class Sentence extends Error {}

/** Where things are, for a clone at `root`. */
function pathsOf(root) {
  const state = join(root, ".codex");
  return {
    root,
    state,
    manifest: join(root, "deploy/local/toolchain"),
    toolchain: join(state, "toolchain"),
    pnpm: join(state, "toolchain/node_modules/pnpm/bin/pnpm.mjs"),
    stamps: join(state, "stamps"),
    lock: join(state, "bootstrap.lock"),
  };
}

/** Runs a command of the table; resolves with the exit code. Never throws: what goes wrong is told on stderr. */
export async function main(argv, root = fileURLToPath(new URL("../..", import.meta.url))) {
  const [name = "help", ...args] = argv;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    process.stderr.write(`There is no command "${name}".\n\n${helpText()}\n`);
    return 64;
  }
  if (name === "help") {
    process.stdout.write(`${helpText()}\n`);
    return 0;
  }
  try {
    const paths = pathsOf(root);
    if (command.needs === "started" && readStamp(paths, "packages") === undefined) {
      process.stdout.write(`${command.absent.text}\n`);
      return command.absent.exitCode;
    }
    // "started" commands take what is there: stopping must work offline, also after a pull that changed the lock file.
    const installed = existsSync(join(root, "node_modules/.modules.yaml")) && existsSync(paths.pnpm);
    const node = command.needs === "started" && installed ? nodeToUse(paths) : await prepare(paths);
    return await runSteps(paths, node, command, args);
  } catch (error) {
    process.stderr.write(`\n${error instanceof Sentence ? error.message : explainFileError(error)}\n`);
    return error instanceof Interrupted ? 130 : 1;
  }
}

class Interrupted extends Sentence {}

/** Brings toolchain and packages up to date, one process at a time. Returns the Node to run everything with. */
async function prepare(paths) {
  if (toolchainFits(paths) && packagesFit(paths)) return nodeToUse(paths);
  return withLock(paths.lock, async () => {
    if (!toolchainFits(paths)) await installToolchain(paths);
    if (!packagesFit(paths)) await installPackages(paths);
    return nodeToUse(paths);
  });
}

// ── toolchain ──

function toolchainHash(paths) {
  const files = ["package.json", "package-lock.json"].map((name) => join(paths.manifest, name));
  return hashOf([process.platform, process.arch, ...files.map((file) => readFileSync(file, "utf8"))]);
}

function toolchainFits(paths) {
  return readStamp(paths, "toolchain") === toolchainHash(paths) && existsSync(paths.pnpm);
}

async function installToolchain(paths) {
  const startedMs = Date.now();
  const npm = npmCommand();
  checkNpmVersion(npm);
  mkdirSync(paths.toolchain, { recursive: true });
  for (const name of ["package.json", "package-lock.json"])
    copyFileSync(join(paths.manifest, name), join(paths.toolchain, name));
  const pinned = pinnedVersions(paths);
  note(`toolchain     fetching Node ${pinned.node} and pnpm ${pinned.pnpm} from the npm registry (about 65 MB) …`);
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  // npm's own retries take 70 s to tell that there is no network.
  args.push(
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=8000",
    "--fetch-timeout=60000",
  );
  const done = await capture(npm.file, [...npm.args, ...args, ...cacheOption(paths, "npm")], {
    cwd: paths.toolchain,
    env: process.env,
  });
  if (done.code !== 0) throw new Sentence(explainInstall("npm ci", "the toolchain", done.output));
  writeStamp(paths, "toolchain", toolchainHash(paths));
  const node = nodeToUse(paths);
  const which = node.pinned ? `Node ${pinned.node}` : `your own Node ${process.versions.node} (${node.why})`;
  report("toolchain", `${which}, pnpm ${pinned.pnpm} in .codex/toolchain`, startedMs);
}

function pinnedVersions(paths) {
  const manifest = JSON.parse(readFileSync(join(paths.manifest, "package.json"), "utf8"));
  return { pnpm: manifest.dependencies.pnpm, node: Object.values(manifest.optionalDependencies)[0] };
}

/** The npm that runs us, else the one on PATH. Under pnpm, npm_execpath names pnpm. */
function npmCommand() {
  const self = process.env["npm_execpath"];
  if (self !== undefined && /npm-cli\.c?js$/.test(self) && existsSync(self))
    return { file: process.execPath, args: [self] };
  return { file: "npm", args: [] };
}

function checkNpmVersion(npm) {
  const answer = spawnSync(npm.file, [...npm.args, "--version"], { encoding: "utf8", timeout: 30_000 });
  if (answer.error !== undefined || answer.status !== 0) {
    throw new Sentence(
      "npm was not found. It comes with Node from https://nodejs.org; on Debian and Ubuntu: apt-get install npm.",
    );
  }
  const version = answer.stdout.trim();
  if (Number(version.split(".")[0]) < npmMajorMin) {
    throw new Sentence(
      `This is npm ${version}; version ${npmMajorMin} or newer is needed. Run: npm install --global npm@9`,
    );
  }
}

/** The platform package that npm chose, or undefined when none was made for this machine. */
function findPinnedNode(paths) {
  const modules = join(paths.toolchain, "node_modules");
  const manifest = JSON.parse(readFileSync(join(paths.manifest, "package.json"), "utf8"));
  return Object.keys(manifest.optionalDependencies)
    .map((name) => join(modules, name, "bin/node"))
    .find((file) => existsSync(file));
}

/** The pinned Node when it is there and runs here; else the Node of this process when it is new enough, saying so. */
function nodeToUse(paths) {
  const pinned = findPinnedNode(paths);
  const works = pinned !== undefined && pinnedNodeRuns(paths, pinned);
  if (works) return { file: pinned, pinned: true };
  const machine = `${process.platform}-${process.arch}`;
  const why =
    pinned === undefined
      ? `there is no pinned Node for ${machine}`
      : `the pinned Node does not run on this ${machine} system`;
  if (Number(process.versions.node.split(".")[0]) >= nodeMajorFallbackMin)
    return { file: process.execPath, pinned: false, why };
  throw new Sentence(
    `For once your own Node must do, since ${why}, but it is ${process.versions.node}. Install Node ${nodeMajorFallbackMin} or newer (26 is what we test with) and run the same command again.`,
  );
}

/** Tried once a toolchain: a binary for glibc does not start on musl (Alpine). The answer is kept beside the stamp. */
function pinnedNodeRuns(paths, file) {
  const key = readStamp(paths, "toolchain") ?? "";
  const known = readStamp(paths, "node");
  if (known === `runs ${key}`) return true;
  const answer = spawnSync(file, ["--version"], { encoding: "utf8", timeout: 30_000 });
  const runs = answer.status === 0 && Number(/^v(\d+)\./.exec(answer.stdout)?.[1] ?? 0) >= nodeMajorFallbackMin;
  if (runs) writeStamp(paths, "node", `runs ${key}`);
  return runs;
}

// ── packages ──

/** Manifests of the workspace, by the folders that pnpm-workspace.yaml names ("libs/*" or a plain folder). */
export function workspaceManifests(root) {
  const text = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8");
  const block = /^packages:\n((?:[ \t]+-.*\n|[ \t]*\n|[ \t]*#.*\n)*)/m.exec(text);
  const patterns = (block?.[1] ?? "").match(/(?<=-\s*["']?)[\w./*-]+(?=["']?\s*$)/gm) ?? [];
  const folders = patterns.flatMap((pattern) => {
    if (!pattern.endsWith("/*")) return [pattern];
    const parent = pattern.slice(0, -2);
    return existsSync(join(root, parent)) ? readdirSync(join(root, parent)).map((name) => `${parent}/${name}`) : [];
  });
  return ["package.json", ...folders.map((folder) => `${folder}/package.json`).sort()].filter((file) =>
    existsSync(join(root, file)),
  );
}

function packagesHash(paths) {
  const files = ["pnpm-lock.yaml", "pnpm-workspace.yaml", ...workspaceManifests(paths.root)];
  return hashOf([
    toolchainHash(paths),
    ...files.flatMap((file) => [file, readFileSync(join(paths.root, file), "utf8")]),
  ]);
}

function packagesFit(paths) {
  return (
    readStamp(paths, "packages") === packagesHash(paths) && existsSync(join(paths.root, "node_modules/.modules.yaml"))
  );
}

async function installPackages(paths) {
  const startedMs = Date.now();
  const node = nodeToUse(paths);
  note("packages      installing from the lock file (the first time this takes a minute or two) …");
  const args = [paths.pnpm, "install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"];
  // CI=true: pnpm asks no question. Without it, it may want to know whether it may remove node_modules.
  const env = { ...process.env, CI: "true", PATH: pathWith(paths, node) };
  const done = await capture(node.file, [...args, ...cacheOption(paths, "pnpm")], { cwd: paths.root, env });
  if (done.code !== 0) throw new Sentence(explainInstall("pnpm install", "the packages", done.output));
  writeStamp(paths, "packages", packagesHash(paths));
  report("packages", "installed from pnpm-lock.yaml", startedMs);
}

/** A home folder that cannot be written (containers, service users): the caches go into .codex instead. */
function cacheOption(paths, tool) {
  try {
    accessSync(homedir(), constants.W_OK);
    return [];
  } catch {
    return tool === "npm"
      ? [`--cache=${join(paths.state, "npm-cache")}`]
      : [`--store-dir=${join(paths.state, "pnpm-store")}`];
  }
}

// ── running ──

async function runSteps(paths, node, command, args) {
  for (const [index, step] of command.steps.entries()) {
    const last = index === command.steps.length - 1;
    const [program, ...rest] = step;
    const file = program === "node" ? node.file : program;
    const env = { ...process.env, ...command.env, PATH: pathWith(paths, node) };
    const done = await handOver(file, [...rest, ...(last ? args : [])], { cwd: paths.root, env });
    if (done !== 0) {
      if (command.steps.length > 1) process.stderr.write(`\nFailed in: ${step.join(" ")}\n`);
      return done;
    }
  }
  return 0;
}

function pathWith(paths, node) {
  const tools = [dirname(node.file), join(paths.toolchain, "node_modules/.bin"), join(paths.root, "node_modules/.bin")];
  return [...tools, process.env["PATH"] ?? "/usr/bin:/bin"].join(delimiter);
}

/** Runs a program on our terminal and passes signals on; resolves with its exit code, 128 + n after signal n. */
function handOver(file, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: "inherit" });
    const forward = (signal) => child.kill(signal);
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    const end = () => signals.forEach((signal) => process.off(signal, forward));
    child.once("error", (error) => {
      end();
      reject(
        error.code === "ENOENT"
          ? new Sentence(`The program "${file}" is needed for this command and was not found.`)
          : error,
      );
    });
    child.once("exit", (code, signal) => {
      end();
      resolve(code ?? 128 + ({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0));
    });
  });
}

/** Runs an installer silently and keeps the end of what it said. Ctrl-C ends both. */
function capture(file, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let stopped = false;
    const keep = (chunk) => (output = (output + chunk).slice(-64_000));
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    const forward = (signal) => {
      stopped = true;
      child.kill(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
    const end = () => ["SIGINT", "SIGTERM", "SIGHUP"].forEach((signal) => process.off(signal, forward));
    child.once("error", (error) => {
      end();
      reject(error);
    });
    child.once("close", (code) => {
      end();
      if (stopped)
        reject(new Interrupted("Stopped while installing. Run the same command again; it goes on from here."));
      else resolve({ code: code ?? 1, output });
    });
  });
}

// ── one bootstrap at a time ──

/** Two commands started at once must not install over each other. The lock is a folder with the owner's pid. */
async function withLock(folder, run) {
  const deadlineMs = Date.now() + lockWaitMs;
  let told = false;
  mkdirSync(dirname(folder), { recursive: true });
  while (!tryLock(folder)) {
    if (Date.now() > deadlineMs)
      throw new Sentence(
        `Another command holds ${folder} for ${lockWaitMs / 60_000} minutes. If none is running, delete that folder.`,
      );
    if (!told) note("waiting for another command that is installing right now …");
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  try {
    return await run();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tryLock(folder) {
  const mine = `${folder}.${process.pid}`;
  mkdirSync(mine, { recursive: true });
  writeFileSync(join(mine, "pid"), String(process.pid));
  try {
    // Atomic, and refused while the target is a folder that is not empty.
    renameSync(mine, folder);
    return true;
  } catch {
    rmSync(mine, { recursive: true, force: true });
    removeStale(folder);
    return false;
  }
}

function removeStale(folder) {
  let pid;
  try {
    pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "ESRCH") return;
    // Of two waiters only one can move the dead lock away.
    const grave = `${folder}.stale.${process.pid}`;
    try {
      renameSync(folder, grave);
      // Between looking and moving, the dead lock may have been replaced by a living one: give that back.
      if (Number(readFileSync(join(grave, "pid"), "utf8")) === pid) rmSync(grave, { recursive: true, force: true });
      else renameSync(grave, folder);
    } catch {
      // The other one did.
    }
  }
}

// ── stamps, messages ──

function hashOf(texts) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest("hex");
}

function stampFile(paths, name) {
  return join(paths.stamps, name);
}

function readStamp(paths, name) {
  try {
    return readFileSync(stampFile(paths, name), "utf8");
  } catch {
    return undefined;
  }
}

function writeStamp(paths, name, value) {
  mkdirSync(paths.stamps, { recursive: true });
  writeFileSync(stampFile(paths, name), value);
}

// Progress goes to stderr, so that `status --json` and the like stay clean on stdout.
function note(text) {
  process.stderr.write(`  … ${text}\n`);
}

function report(name, detail, startedMs) {
  const seconds = `${((Date.now() - startedMs) / 1000).toFixed(1)} s`;
  process.stderr.write(`  ✔ ${name.padEnd(13)} ${detail.padEnd(58)} ${seconds.padStart(8)}\n`);
}

const network =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|UND_ERR_\w+|FETCH_ERROR|META_FETCH_FAIL)\b|network (?:request|timeout)|socket hang up/i;
const certificate =
  /\b(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT\w*|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_\w+)\b/;

/** What an installer's output means, in one sentence, with its last lines below for those who want them. */
export function explainInstall(tool, what, output) {
  const lines = output
    .trim()
    .split("\n")
    .slice(-8)
    .map((line) => `    ${line}`);
  return [sentenceFor(tool, what, output), "", `The last lines of ${tool}:`, ...lines].join("\n");
}

function sentenceFor(tool, what, output) {
  if (/\bENOSPC\b|no space left/i.test(output)) return diskFull;
  if (certificate.test(output)) {
    return `The npm registry's certificate was not accepted while fetching ${what}: something between here and there replaces it. Set NODE_EXTRA_CA_CERTS to your company's root certificate (PEM) and run the same command again.`;
  }
  if (/\b407\b|proxy authentication/i.test(output))
    return `The proxy refused to pass the request for ${what} (407). Put the user and password into HTTPS_PROXY. ${registryAnswerHint}`;
  if (network.test(output))
    return `The npm registry could not be reached while fetching ${what}. ${registryAnswerHint}`;
  if (/\bEINTEGRITY\b|ERR_PNPM_TARBALL_INTEGRITY/.test(output)) {
    return `A download for ${what} is not what the lock file promises, so it was thrown away. Run the same command again; if it stays, the mirror (npm_config_registry) serves something else than the registry.`;
  }
  if (/ERR_PNPM_OUTDATED_LOCKFILE/.test(output))
    return "pnpm-lock.yaml does not fit the package.json files. After changing dependencies run: pnpm install --lockfile-only";
  if (/\b(EACCES|EPERM)\b/.test(output))
    return `${tool} may not write where it must while installing ${what}. Check who owns this folder and your home folder (a run as root leaves files behind that others cannot change).`;
  if (/\bE404\b|\bETARGET\b|ERR_PNPM_FETCH_404|ERR_PNPM_NO_MATCHING_VERSION/.test(output))
    return `The registry does not have a version that ${what} need. If npm_config_registry names a mirror, it may be behind.`;
  return `Installing ${what} failed.`;
}

const diskFull =
  "The disk is full. Toolchain, packages, build and data need about 2 GB here and in the npm and pnpm caches of your home folder. Make room and run the same command again; it goes on from here.";

/** Our own file operations fail in few ways. */
function explainFileError(error) {
  if (error?.code === "ENOSPC") return diskFull;
  if (error?.code === "EACCES" || error?.code === "EPERM" || error?.code === "EROFS")
    return `May not write to ${error.path ?? "this folder"} (${error.code}). Check who owns it.`;
  return `Unexpected: ${error?.stack ?? String(error)}`;
}
