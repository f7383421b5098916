import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { passedEnvironment } from "./config.ts";
import { readText } from "./files.ts";
import type { Paths } from "./paths.ts";
import { runTool } from "./run-tool.ts";
import { services } from "./services.ts";

/**
 * Compiles every package (`tsc -b`, TypeScript 7), makes each service's program one file (bundle.ts), and builds the dashboard
 * (Vite). Each half is skipped while the hash of its sources is the one in its stamp and its output is still there: `tsc -b` that
 * finds nothing to do takes a second, Vite ten.
 */

export interface BuildOptions {
  readonly force: boolean;
  readonly signal: AbortSignal;
}

interface Half {
  readonly name: string;
  readonly sources: readonly string[];
  readonly outputs: readonly string[];
  readonly run: () => Promise<void>;
}

const compileTimeoutMs = 300_000;
const ignored = new Set(["node_modules", "dist", "tests", ".vite"]);

/** Returns what was done, for people: "compiled, dashboard unchanged". Throws a Problem with the compiler's last lines. */
export async function build(paths: Paths, options: BuildOptions): Promise<string> {
  const done: string[] = [];
  for (const half of halves(paths, options.signal)) {
    const stamp = path.join(paths.stamps, `build-${half.name}`);
    const hash = hashSources(paths.root, half.sources);
    const whole = half.outputs.every((file) => existsSync(path.join(paths.root, file)));
    // eslint-disable-next-line security/constant-time -- of our own sources.
    if (!options.force && whole && readText(stamp) === hash) {
      done.push(`${half.name} unchanged`);
      continue;
    }
    await half.run();
    mkdirSync(paths.stamps, { recursive: true });
    writeFileSync(stamp, hash);
    done.push(`${half.name} built`);
  }
  return done.join(", ");
}

function halves(paths: Paths, signal: AbortSignal): readonly Half[] {
  const run = {
    command: process.execPath,
    cwd: paths.root,
    env: passedEnvironment(),
    timeoutMs: compileTimeoutMs,
    signal,
  };
  const packages = [
    ...packageFolders(paths.root, "libs"),
    ...packageFolders(paths.root, "services"),
    "deploy/demo-upstream",
  ];
  const compiled = packages.filter((folder) => existsSync(path.join(paths.root, folder, "tsconfig.json")));
  const dashboard = "services/dashboard";
  const vite = path.join(paths.root, dashboard, "node_modules/vite/bin/vite.js");
  const shared = ["pnpm-lock.yaml", "tsconfig.base.json"];
  return [
    {
      name: "packages",
      sources: [
        ...shared,
        "tsconfig.build.json",
        "deploy/local/bundle.ts",
        ...compiled.flatMap((folder) => [
          `${folder}/src`,
          `${folder}/edge`,
          `${folder}/tsconfig.json`,
          `${folder}/tsconfig.edge.json`,
          `${folder}/package.json`,
        ]),
      ],
      outputs: services.map((definition) => `${definition.folder}/${definition.entry}`),
      run: async () => {
        const tsc = path.join(paths.root, "node_modules/@typescript/native/bin/tsc");
        await runTool("The compiler", { ...run, args: [tsc, "-b", "tsconfig.build.json"] });
        await runTool("The bundler", {
          ...run,
          args: ["--no-warnings", path.join(paths.root, "deploy/local/bundle.ts")],
        });
      },
    },
    {
      name: "dashboard",
      sources: [
        ...shared,
        `${dashboard}/src`,
        `${dashboard}/public`,
        `${dashboard}/index.html`,
        `${dashboard}/vite.config.mjs`,
        "libs/contracts/src",
        "libs/kernel/src",
      ],
      outputs: [`${dashboard}/dist/spa/index.html`],
      run: async () => {
        await runTool("The build of the dashboard", {
          ...run,
          cwd: path.join(paths.root, dashboard),
          args: [vite, "build", "--logLevel", "warn"],
        });
      },
    },
  ];
}

function packageFolders(root: string, parent: string): readonly string[] {
  return readdirSync(path.join(root, parent), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${parent}/${entry.name}`);
}

/** Hash of names and contents, so that a checkout of the same commit does not build again. Missing paths count as empty. */
function hashSources(root: string, sources: readonly string[]): string {
  const hash = createHash("sha256");
  for (const source of sources) {
    for (const file of filesBelow(path.join(root, source))) {
      hash.update(`${path.relative(root, file)}\n`);
      hash.update(createHash("sha256").update(readFileSync(file)).digest());
    }
  }
  return hash.digest("hex");
}

function filesBelow(start: string): readonly string[] {
  if (!existsSync(start)) return [];
  const found: string[] = [];
  const visit = (at: string): void => {
    const entries = readdirSync(at, { withFileTypes: true }).sort((left, right) => (left.name < right.name ? -1 : 1));
    for (const entry of entries) {
      const full = path.join(at, entry.name);
      if (entry.isDirectory() && !ignored.has(entry.name)) visit(full);
      if (entry.isFile() && !entry.name.endsWith(".test.ts")) found.push(full);
    }
  };
  try {
    visit(start);
  } catch {
    return [start];
  }
  return found;
}
