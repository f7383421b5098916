import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { rolldown } from "rolldown";

/**
 * `node bundle.ts [service …]`: each service's program as one file, `dist/main.js`, with everything that its start needs
 * (docs/adr/0025). From the sources, so that nothing has to be compiled first. What a service loads later, and its worker
 * threads, are files beside it. Without a name: all of them; of a package that is no service there is nothing to make.
 */

interface Program {
  readonly service: string;
  /** Below the service's folder; `main.ts` is there. */
  readonly sources: string;
  /** Programs of worker threads: what the service looks for beside its own file. */
  readonly workers: Readonly<Record<string, string>>;
}

const programs: readonly Program[] = [
  { service: "auth", sources: "src", workers: { "bcrypt-worker": "crypto/bcrypt-worker.ts" } },
  { service: "key-registry", sources: "src", workers: {} },
  { service: "billing-ledger", sources: "src", workers: {} },
  { service: "gateway-proxy", sources: "src", workers: { "count-worker": "tokens/count-worker.ts" } },
  { service: "image-cache", sources: "src", workers: {} },
  { service: "telegram-bonus", sources: "src", workers: {} },
  { service: "dashboard", sources: "edge", workers: {} },
];

const root = path.resolve(import.meta.dirname, "../..");
/** Names of parts have a hash, so those of the last build would stay. */
const partPrefix = "part-";

async function bundle({ service, sources, workers }: Program): Promise<void> {
  const folder = path.join(root, "services", service);
  const dist = path.join(folder, "dist");
  const built = await rolldown({
    input: Object.fromEntries(
      Object.entries({ main: "main.ts", ...workers }).map(([name, file]) => [name, path.join(folder, sources, file)]),
    ),
    platform: "node",
    resolve: { conditionNames: ["codex:source"] },
    onLog(level, log) {
      if (level === "warn") throw new Error(`${service}: ${log.message}`);
    },
  });
  try {
    removeParts(dist);
    await built.write({
      dir: dist,
      format: "esm",
      sourcemap: true,
      entryFileNames: "[name].js",
      chunkFileNames: `${partPrefix}[name]-[hash].js`,
    });
  } finally {
    await built.close();
  }
}

function removeParts(dist: string): void {
  try {
    for (const name of readdirSync(dist)) if (name.startsWith(partPrefix)) rmSync(path.join(dist, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

const names = process.argv.slice(2);
for (const program of programs) if (names.length === 0 || names.includes(program.service)) await bundle(program);
