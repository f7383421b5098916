import path from "node:path";

/** The only file of this package that reads the environment. */

export const root = path.resolve(import.meta.dirname, "../../..");

/** What is fetched for the bench alone: nginx's program, Portkey's packages. */
export const fetchedFolder = path.join(root, ".codex/bench-gateway");

/** What the programs of the bench may see of it. */
export function passedEnvironment(): Readonly<Record<string, string>> {
  const passed = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"];
  return Object.fromEntries(
    passed.flatMap((name) => {
      const value = process.env[name];
      return value === undefined || value === "" ? [] : [[name, value] as const];
    }),
  );
}

/** The same, and the settings by which npm finds its registry. */
export function npmEnvironment(): Readonly<Record<string, string>> {
  const own = Object.entries(process.env).filter(([name]) =>
    /^(npm_config_|https?_proxy$|no_proxy$|NODE_EXTRA_CA_CERTS$)/i.test(name),
  );
  return { ...passedEnvironment(), ...(Object.fromEntries(own) as Record<string, string>) };
}
