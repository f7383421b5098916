import type { AccountId } from "@codex/kernel";
import { createHmac, hkdfSync } from "node:crypto";

/**
 * How an account is known to providers that ask who is behind a request (SEC-95): the same for every request of it, so that they
 * can tell one abuser from everybody else behind our key, and nothing that leads back to it. Another master key gives other names.
 */
export function opaqueUsers(masterKey: string): (accountId: AccountId) => string {
  const key = Buffer.from(hkdfSync("sha256", masterKey, "", "codex-api: users as upstreams know them", 32));
  return (accountId) => `u_${createHmac("sha256", key).update(accountId).digest("hex").slice(0, 32)}`;
}
