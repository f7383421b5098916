import { sealSecret, unsealSecret } from "@codex/kernel";
import { hkdfSync } from "node:crypto";

export interface Sealer {
  seal(plaintext: string, context: string): string;
  /** Throws when no key opens it. */
  unseal(envelope: string, context: string): string;
  /** The same under the present key; undefined when it is already. Throws when no key opens it. */
  reseal(envelope: string, context: string): string | undefined;
}

/** AES-256-GCM (SEC-41) under keys derived from settings: the first seals, all of them open. */
export function sealerOf(secrets: readonly [string, ...string[]]): Sealer {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", secret, "", "codex auth data key v1", 32)));
  const [current = Buffer.alloc(0), ...older] = keys;
  const unsealOlder = (envelope: string, context: string): string | undefined => {
    for (const key of older) {
      try {
        return unsealSecret(envelope, key, context);
      } catch {
        // Another key made it.
      }
    }
    return undefined;
  };
  return {
    seal: (plaintext, context) => sealSecret(plaintext, current, context),
    unseal: (envelope, context) => unsealOlder(envelope, context) ?? unsealSecret(envelope, current, context),
    reseal(envelope, context) {
      const plaintext = unsealOlder(envelope, context);
      if (plaintext !== undefined) return sealSecret(plaintext, current, context);
      unsealSecret(envelope, current, context);
      return undefined;
    },
  };
}
