import type { Account } from "@codex/contracts";
import type { StoredAccount } from "../app/ports.ts";

/** What an account may see of itself; the password hash never leaves the store's side. */
export function toApiAccount(account: StoredAccount): Account {
  const { accountId, email, name, role, createdAt } = account;
  return { accountId, email, name, role, createdAt: createdAt.toISOString() };
}
