import { sealSecret, unsealSecret } from "@codex/kernel";
import { hkdfSync } from "node:crypto";

export interface Sealer {
  seal(plaintext: string, context: string): string;
  /** Throws when no key opens it. */
  unseal(envelope: string, context: string): string;
  /** The same under the present key; undefined when it is already, or under the one after. Throws when no key opens it. */
  reseal(envelope: string, context: string): string | undefined;
}

export interface SealerSecrets {
  readonly current: string;
  /** The one before, as long as something may be sealed by it. */
  readonly previous?: string | undefined;
  /** The one after, while processes are restarted one by one. */
  readonly next?: string | undefined;
}

/** AES-256-GCM (SEC-41) under keys derived from settings: the present one seals, all of them open. */
export function sealerOf({ current, previous, next }: SealerSecrets): Sealer {
  const keyOf = (secret: string): Buffer => Buffer.from(hkdfSync("sha256", secret, "", "codex auth data key v1", 32));
  const present = keyOf(current);
  const before = previous === undefined ? [] : [keyOf(previous)];
  const after = next === undefined ? [] : [keyOf(next)];
  return {
    seal: (plaintext, context) => sealSecret(plaintext, present, context),
    unseal: (envelope, context) =>
      openedBy([...before, ...after], envelope, context) ?? unsealSecret(envelope, present, context),
    reseal(envelope, context) {
      const plaintext = openedBy(before, envelope, context);
      if (plaintext !== undefined) return sealSecret(plaintext, present, context);
      if (openedBy(after, envelope, context) === undefined) unsealSecret(envelope, present, context);
      return undefined;
    },
  };
}

/** Undefined when another key made it. */
function openedBy(keys: readonly Buffer[], envelope: string, context: string): string | undefined {
  for (const key of keys) {
    try {
      return unsealSecret(envelope, key, context);
    } catch {
      // The next one, perhaps.
    }
  }
  return undefined;
}
