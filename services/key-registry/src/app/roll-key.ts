import { ok, refuse, type AccountId, type KeyId, type Result } from "@codex/kernel";
import { activeKeysMax, drawSecret, type KeyPorts } from "./manage-keys.ts";
import type { StoredKey } from "./ports.ts";
import { spreadRevocations } from "./revoke-keys.ts";

export interface RolledKey {
  readonly key: StoredKey;
  readonly secret: string;
  /** The old key with its end. */
  readonly previous: StoredKey;
}

/**
 * A new key in the place of an old one, with the same settings. The old one goes on for `overlapMs`, so that programs can be
 * changed over one by one, or is revoked at once with 0. The new key never ends earlier than it would have: an end that the
 * owner set is the owner's, and goes on to the new key.
 */
export async function rollKey(
  ports: KeyPorts,
  accountId: AccountId,
  keyId: KeyId,
  overlapMs: number,
): Promise<Result<RolledKey, "not_found" | "conflict">> {
  const present = await ports.store.find(accountId, keyId);
  if (!present) return noSuchKey();
  const { secret, ...successor } = drawSecret(ports.brand, present.environment);
  const until = overlapMs === 0 ? undefined : new Date(ports.clock.now().getTime() + overlapMs);
  const rolled = await ports.store.roll(accountId, keyId, successor, until, activeKeysMax);
  if (!rolled.ok) {
    switch (rolled.refusal) {
      case "not_found":
        return noSuchKey();
      case "replaced":
        return refuse("conflict", "This key was rolled already. Roll the one that took its place.");
      case "too_many":
        return refuse("conflict", "Too many rolled keys still run. Wait for their end, or revoke them.");
    }
  }
  const { key, previous } = rolled;
  if (previous.status === "revoked") await spreadRevocations(ports, [previous]);
  return ok({ key, secret, previous });
}

function noSuchKey() {
  return refuse("not_found", "There is no such key.");
}
