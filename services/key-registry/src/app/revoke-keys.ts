import type { AccountId, KeyId } from "@codex/kernel";
import type { KeyPorts } from "./manage-keys.ts";
import type { KeyReport, StoredKey } from "./ports.ts";

type RevokePorts = Pick<KeyPorts, "store" | "tombstones" | "onTombstoneFault">;

/**
 * Revokes for good, in one transaction. Idempotent; what is missing and what is another account's is left out of the answer,
 * alike.
 */
export async function revokeKeys(
  ports: RevokePorts,
  accountId: AccountId,
  keyIds: readonly KeyId[],
): Promise<readonly StoredKey[]> {
  const keys = await ports.store.revoke(accountId, keyIds);
  await spreadRevocations(ports, keys);
  return keys;
}

/** The rows are the truth and are committed; a bucket that does not answer delays the gateways by seconds at most. */
export async function spreadRevocations(ports: RevokePorts, keys: readonly StoredKey[]): Promise<void> {
  await Promise.all(keys.map((key) => ports.tombstones.put(key).catch(ports.onTombstoneFault)));
}

/** Revokes a key that somebody reported. What became of it is told to nobody but the owner: an answer would say that it exists (SEC-39). */
export async function reportKey(ports: RevokePorts, report: KeyReport): Promise<void> {
  const revoked = await ports.store.report(report);
  if (revoked) await spreadRevocations(ports, [revoked]);
}

const repairPage = 500;

/**
 * Puts every revocation that the bucket lacks into it: after an outage, and when the bucket was lost. Answers how many;
 * ends early on `signal`.
 */
export async function repairTombstones(
  ports: Pick<KeyPorts, "store" | "tombstones">,
  signal?: AbortSignal,
): Promise<number> {
  await ports.tombstones.restore();
  let repaired = 0;
  let last: KeyId | undefined;
  for (;;) {
    const page = await ports.store.revokedAfter(last, repairPage);
    for (const key of page) {
      if (signal?.aborted === true) return repaired;
      if (await ports.tombstones.has(key.hash)) continue;
      await ports.tombstones.put(key);
      repaired += 1;
    }
    last = page.at(-1)?.keyId;
    if (page.length < repairPage) return repaired;
  }
}
