import {
  displayPrefix,
  generateApiKey,
  hashApiKey,
  newId,
  ok,
  refuse,
  type AccountId,
  type Clock,
  type KeyEnvironment,
  type KeyId,
  type Result,
} from "@codex/kernel";
import type { KeyIdentity, KeySettings, KeyStore, StoredKey, Tombstones } from "./ports.ts";

export interface KeyPorts {
  readonly store: KeyStore;
  readonly tombstones: Tombstones;
  /** Reports a tombstone that could not be written; the event and the next repair bring it still. */
  readonly onTombstoneFault: (error: unknown) => void;
  readonly brand: string;
  readonly clock: Clock;
}

/** Keys an account may have that are good; those that were rolled and run out come on top, as many again at most. */
export const activeKeysMax = 100;
export const listedKeysMax = 500;

export interface NewSecret extends Pick<KeyIdentity, "keyId" | "displayPrefix" | "hash"> {
  readonly secret: string;
}

export function drawSecret(brand: string, environment: KeyEnvironment): NewSecret {
  const secret = generateApiKey(brand, environment);
  return { keyId: newId("key"), secret, displayPrefix: displayPrefix(secret), hash: hashApiKey(secret) };
}

/** Makes a key. The secret is in the answer and nowhere else; it cannot be shown again. `invalid_expiry`: it is over already. */
export async function createKey(
  ports: KeyPorts,
  accountId: AccountId,
  { name, environment, ...settings }: AskedSettings & { readonly name: string; readonly environment: KeyEnvironment },
): Promise<Result<{ readonly key: StoredKey; readonly secret: string }, "conflict" | "invalid_expiry">> {
  if (isOver(ports.clock, settings.expiresAt)) return expiryIsOver();
  const { secret, ...drawn } = drawSecret(ports.brand, environment);
  const draft = { accountId, environment, ...drawn, ...unrestricted, name, ...meaningful(settings) };
  const key = await ports.store.create(draft, activeKeysMax);
  if (!key) return refuse("conflict", `An account can have ${activeKeysMax} active keys. Revoke one first.`);
  return ok({ key, secret });
}

/** Changes what is given and leaves the rest. Idempotent; refuses with `not_found` what is missing, revoked or another account's, alike. */
export async function changeKey(
  ports: Pick<KeyPorts, "store" | "clock">,
  accountId: AccountId,
  keyId: KeyId,
  settings: AskedSettings,
): Promise<Result<StoredKey, "not_found" | "invalid_expiry">> {
  if (isOver(ports.clock, settings.expiresAt)) return expiryIsOver();
  const key = await ports.store.change(accountId, keyId, meaningful(settings));
  return key ? ok(key) : refuse("not_found", "There is no such key.");
}

/** As a request has them: undefined = not given. */
type AskedSettings = { readonly [Name in keyof KeySettings]?: KeySettings[Name] | undefined };

const unrestricted: Omit<KeySettings, "name"> = {
  tags: [],
  caps: null,
  limits: null,
  models: null,
  allowedIps: null,
  expiresAt: null,
};

/** Three times no cap is none: such a key shares its account's leases. Three times no limit is none either; a list names each once. */
function meaningful({ name, tags, caps, limits, models, allowedIps, expiresAt }: AskedSettings): Partial<KeySettings> {
  return {
    ...(name === undefined ? {} : { name }),
    ...(tags === undefined ? {} : { tags: [...new Set(tags)] }),
    ...(caps === undefined ? {} : { caps: isEmpty(caps) ? null : caps }),
    ...(limits === undefined ? {} : { limits: isEmpty(limits) ? null : limits }),
    ...(models === undefined ? {} : { models: models && [...new Set(models)] }),
    ...(allowedIps === undefined ? {} : { allowedIps: allowedIps && [...new Set(allowedIps)] }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function isEmpty(values: object | null): boolean {
  return values === null || Object.values(values).every((value) => value === null);
}

function isOver(clock: Clock, expiresAt: Date | null | undefined): boolean {
  return expiresAt instanceof Date && expiresAt <= clock.now();
}

function expiryIsOver() {
  return refuse("invalid_expiry", "The end of a key must be in the future. To end it now, revoke it.");
}
