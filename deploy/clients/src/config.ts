import path from "node:path";

/** The only file of this package that reads the environment. */

const root = path.resolve(import.meta.dirname, "../../..");

/** Where the agents are installed; nothing else reads it. */
export const installedFolder = path.join(root, ".codex/clients");

/**
 * What an agent sees of it. Its home is elsewhere, so that it finds no settings or sign-in of the person who runs the test, and
 * nothing of theirs can end up at a model.
 */
export function agentEnvironment(): Readonly<Record<string, string>> {
  return passed(/^(PATH|LANG|LC_ALL|TMPDIR)$/);
}

/** What npm sees: also how it finds its registry. */
export function npmEnvironment(): Readonly<Record<string, string>> {
  return passed(/^(PATH|HOME|LANG|LC_ALL|TMPDIR|npm_config_.*|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i);
}

function passed(names: RegExp): Readonly<Record<string, string>> {
  const kept = Object.entries(process.env).filter(([name, value]) => names.test(name) && value !== undefined);
  return Object.fromEntries(kept) as Record<string, string>;
}
