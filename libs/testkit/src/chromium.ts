import { accessSync, constants, existsSync, statSync } from "node:fs";
import path from "node:path";
import { binaryFolders, installEnvironment } from "./config.ts";
import { canUseDebianPackages } from "./debian-packages.ts";
import { MissingProgramError } from "./programs.ts";
import { runProgram } from "./run-program.ts";

const programs = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"] as const;
const macPrograms = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
] as const;

/** DejaVu has Cyrillic, Noto the rouble sign; without fonts a page is drawn in boxes. */
const debianPackages = ["chromium", "fonts-dejavu-core", "fonts-noto-core"] as const;
const apt = ["-o", "DPkg::Lock::Timeout=60", "-o", "APT::Sandbox::User=root", "-q"];

/** Both steps of the installation together: about 120 MB are fetched. */
const installTimeoutMs = 600_000;
const versionTimeoutMs = 20_000;

/** Where and how to look; tests give their own. */
export interface ChromiumSearch {
  /** Default: CHROMIUM_PATH of the environment. */
  readonly givenPath?: string | undefined;
  /** Default: PATH and the usual places. */
  readonly folders?: readonly string[];
  /** Default: the applications of macOS, there. */
  readonly applications?: readonly string[];
  /** Default: on Debian and Ubuntu, as root. */
  readonly mayInstall?: boolean;
}

/**
 * Path of a Chromium that runs: CHROMIUM_PATH, else one on PATH, else the application of macOS, else, on Debian and
 * Ubuntu as root, the package, installed once within ten minutes after `log` was told. Throws MissingProgramError, one
 * sentence with the command that helps: a test of pages is never left out in silence.
 */
export async function findChromium(log: (line: string) => void, search: ChromiumSearch = {}): Promise<string> {
  // eslint-disable-next-line no-restricted-syntax -- only the browser tests read it, so it is no setting of the servers in config.ts.
  const givenPath = search.givenPath ?? process.env["CHROMIUM_PATH"] ?? "";
  if (givenPath !== "") {
    if (await runs(givenPath)) return givenPath;
    throw new MissingProgramError(
      `CHROMIUM_PATH is ${givenPath}, which does not run as a Chromium: correct it, or unset it to have one looked for.`,
    );
  }
  const folders = search.folders ?? binaryFolders();
  const applications = search.applications ?? (process.platform === "darwin" ? macPrograms : []);
  const found = await firstThatRuns(folders, applications);
  if (found !== undefined) return found;
  if (!(search.mayInstall ?? canUseDebianPackages())) throw new MissingProgramError(advice());
  await install(log);
  const installed = await firstThatRuns(folders, applications);
  if (installed !== undefined) return installed;
  throw new MissingProgramError(
    "The Debian package chromium is installed, but it does not run: try `chromium --version` and see what it says.",
  );
}

async function firstThatRuns(folders: readonly string[], applications: readonly string[]): Promise<string | undefined> {
  const onPath = folders.flatMap((folder) => programs.map((program) => path.join(folder, program)));
  const candidates = [...onPath, ...applications];
  for (const candidate of candidates) if (await runs(candidate)) return candidate;
  return undefined;
}

/** Ubuntu has a `chromium-browser` that only says that a snap is wanted, so a file with the name is not enough. */
async function runs(file: string): Promise<boolean> {
  try {
    accessSync(file, constants.X_OK);
    if (!statSync(file).isFile()) return false;
  } catch {
    return false;
  }
  const said = await runProgram(file, ["--version", "--no-sandbox"], { timeoutMs: versionTimeoutMs });
  return said.ok && /(Chromium|Chrome) \d+/.test(said.output);
}

async function install(log: (line: string) => void): Promise<void> {
  log(
    "Chromium is not installed: installing the Debian packages of it and its fonts (about 120 MB, ten minutes at most)",
  );
  const until = Date.now() + installTimeoutMs;
  const steps = [["update"], ["install", "-y", "--no-remove", "--no-install-recommends", ...debianPackages]];
  for (const step of steps) {
    const timeoutMs = Math.max(1, until - Date.now());
    const said = await runProgram("apt-get", [...apt, ...step], { timeoutMs, env: installEnvironment() });
    // Lists that could not be renewed may still be good enough; the installation itself decides.
    if (said.ok || step[0] === "update") continue;
    const end = said.output.split("\n").slice(-4).join("\n");
    throw new MissingProgramError(
      `Chromium could not be installed: run \`apt-get install --no-install-recommends ${debianPackages.join(" ")}\` and start again. apt-get said:\n${end}`,
    );
  }
}

function advice(): string {
  const start = "No Chromium on this machine, which the tests of the pages need: ";
  if (process.platform === "darwin") return `${start}run \`brew install --cask chromium\` and start again.`;
  if (existsSync("/usr/bin/apt-get"))
    return `${start}run \`sudo apt-get install --no-install-recommends ${debianPackages.join(" ")}\` and start again.`;
  return `${start}install it with your package manager, or set CHROMIUM_PATH, and start again.`;
}
