import {
  displayPrefix,
  generateApiKey,
  hashApiKey,
  newId,
  ok,
  refuse,
  type AccountId,
  type KeyId,
  type Result,
} from "@codex/kernel";
import type { KeySettings, KeyStore, StoredKey, Tombstones } from "./ports.ts";

export interface KeyPorts {
  readonly store: KeyStore;
  readonly tombstones: Tombstones;
  /** Reports a tombstone that could not be written; the event and the next repair bring it still. */
  readonly onTombstoneFault: (error: unknown) => void;
  readonly brand: string;
}

/** Active keys an account may have. */
export const activeKeysMax = 100;
export const listedKeysMax = 500;

/** Makes a key. The secret is in the answer and nowhere else; it cannot be shown again. */
export async function createKey(
  ports: KeyPorts,
  accountId: AccountId,
  name: string,
  settings: AskedSettings = {},
): Promise<Result<{ readonly key: StoredKey; readonly secret: string }, "conflict">> {
  const secret = generateApiKey(ports.brand, "live");
  const draft = {
    keyId: newId("key"),
    accountId,
    name,
    displayPrefix: displayPrefix(secret),
    hash: hashApiKey(secret),
    ...unrestricted,
    ...meaningful(settings),
  };
  const key = await ports.store.create(draft, activeKeysMax);
  if (!key) return refuse("conflict", `An account can have ${activeKeysMax} active keys. Revoke one first.`);
  return ok({ key, secret });
}

/** Changes what is given and leaves the rest. Idempotent; refuses with `not_found` what is missing, revoked or another account's, alike. */
export async function changeKey(
  ports: Pick<KeyPorts, "store">,
  accountId: AccountId,
  keyId: KeyId,
  settings: AskedSettings,
): Promise<Result<StoredKey, "not_found">> {
  const key = await ports.store.change(accountId, keyId, meaningful(settings));
  return key ? ok(key) : refuse("not_found", "There is no such key.");
}

/** As a request has them: undefined = not given. */
type AskedSettings = { readonly [Name in keyof KeySettings]?: KeySettings[Name] | undefined };

const unrestricted: KeySettings = { caps: null, limits: null, models: null, allowedIps: null };

/** Three times no cap is none: such a key shares its account's leases. Three times no limit is none either; a list names each once. */
function meaningful({ caps, limits, models, allowedIps }: AskedSettings): Partial<KeySettings> {
  return {
    ...(caps === undefined ? {} : { caps: isEmpty(caps) ? null : caps }),
    ...(limits === undefined ? {} : { limits: isEmpty(limits) ? null : limits }),
    ...(models === undefined ? {} : { models: models && [...new Set(models)] }),
    ...(allowedIps === undefined ? {} : { allowedIps: allowedIps && [...new Set(allowedIps)] }),
  };
}

function isEmpty(values: object | null): boolean {
  return values === null || Object.values(values).every((value) => value === null);
}

/** Revokes for good. Idempotent; refuses with `not_found` what is missing and what is another account's, alike. */
export async function revokeKey(
  ports: KeyPorts,
  accountId: AccountId,
  keyId: KeyId,
): Promise<Result<StoredKey, "not_found">> {
  const key = await ports.store.revoke(accountId, keyId);
  if (!key) return refuse("not_found", "There is no such key.");
  // The row is the truth and is committed; a bucket that does not answer delays the gateways by seconds at most.
  await ports.tombstones.put(key).catch(ports.onTombstoneFault);
  return ok(key);
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
