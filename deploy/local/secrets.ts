import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { newId } from "@codex/kernel";
import { z } from "zod";
import { readJson, readText, writePrivateJson } from "./files.ts";
import type { Paths } from "./paths.ts";
import { Problem } from "./problem.ts";

const localConfig = z.object({
  /** Names this set of secrets; the data folder remembers which set it was made with. */
  id: z.string().min(1),
  /** "auth.PASSWORD_PEPPER" → value. A value that is there is never changed. */
  secrets: z.record(z.string(), z.string().min(1)),
});
type LocalConfig = z.infer<typeof localConfig>;

/** What a secret looks like: 32 random bytes in base64, or hex where the value becomes part of a URL, or a password for people. */
type SecretForm = "base64" | "hex" | "password";

export interface SecretRequest {
  readonly name: string;
  readonly form: SecretForm;
}

export interface EnsuredSecrets {
  /** Throws for a name that was not asked for. */
  get(name: string): string;
  readonly made: number;
  readonly kept: number;
}

/**
 * Reads .codex/config.json and adds what is missing. Values that exist are kept for ever: data is sealed with them.
 * Throws a {@link Problem} when the data in the folder was made with another set.
 */
export function ensureSecrets(paths: Paths, requests: readonly SecretRequest[]): EnsuredSecrets {
  const stored = readJson(paths.config, localConfig);
  const config: LocalConfig = stored ?? { id: newId("job"), secrets: {} };
  checkDataOwner(paths, config.id);
  const missing = requests.filter((request) => config.secrets[request.name] === undefined);
  const secrets = { ...config.secrets };
  for (const request of missing) secrets[request.name] = make(request.form);
  if (stored === undefined || missing.length > 0) writePrivateJson(paths.config, { ...config, secrets });
  mkdirSync(paths.data, { recursive: true, mode: 0o711 });
  writeFileSync(paths.dataOwner, config.id, { mode: 0o600 });
  return {
    get: (name) => {
      const value = secrets[name];
      if (value === undefined) throw new Error(`no secret named ${name} was asked for`);
      return value;
    },
    made: missing.length,
    kept: requests.length - missing.length,
  };
}

function checkDataOwner(paths: Paths, id: string): void {
  const owner = readText(paths.dataOwner);
  if (owner === undefined || owner === id) return;
  throw new Problem(
    `The data in ${path.relative(paths.root, paths.data)} cannot be opened: the secrets that it was made with are not in ${path.relative(paths.root, paths.config)}.`,
    { hint: "Put the old .codex/config.json back, or begin anew with: npm run reset" },
  );
}

function make(form: SecretForm): string {
  if (form === "hex") return randomBytes(24).toString("hex");
  if (form === "password") return `${randomBytes(15).toString("base64url")}-1a`;
  return randomBytes(32).toString("base64");
}
