import path from "node:path";
import { fileURLToPath } from "node:url";

/** The only file of this package that reads the environment. */

export const root = path.resolve(fileURLToPath(new URL("../../..", import.meta.url)));

/** What our services may see of it; everything else they get from the table in fleet.ts. */
export function passedEnvironment(): Readonly<Record<string, string>> {
  const passed = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"];
  return Object.fromEntries(
    passed.flatMap((name) => {
      const value = process.env[name];
      return value === undefined || value === "" ? [] : [[name, value] as const];
    }),
  );
}
