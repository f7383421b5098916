import { ok, refuse, type AccountId, type KeyId, type Result } from "@codex/kernel";
import type { KeyPorts } from "./manage-keys.ts";

/** Times an hour that an account may have keys shown again (SEC-42). */
export const showingsMax = 5;

/**
 * The key once more, for its owner; each showing is in the audit log, without the key. `conflict`: repeat display is off, or was when
 * the key was made.
 */
export async function showKey(
  { store, vault }: Pick<KeyPorts, "store" | "vault">,
  accountId: AccountId,
  keyId: KeyId,
): Promise<Result<string, "not_found" | "conflict" | "rate_limited">> {
  if (!vault) return refuse("conflict", "Keys are shown once here, when they are made. Roll the key to get a new one.");
  const showing = await store.takeShowing(accountId, keyId, showingsMax);
  if (showing.ok) return ok(await vault.open(accountId, keyId, showing.sealed));
  switch (showing.refusal) {
    case "not_found":
      return refuse("not_found", "There is no such key.");
    case "not_kept":
      return refuse("conflict", "This key was shown when it was made, and was not kept. Roll it to get a new one.");
    case "too_often":
      return refuse("rate_limited", `Keys may be shown again ${String(showingsMax)} times an hour.`, {
        retryAfterSeconds: showing.retryAfterSeconds,
      });
  }
}
