import type { Account, OperatedAccount as ApiOperatedAccount, SecurityOverview } from "@codex/contracts";
import type { OperatedAccount, StoredPasskey } from "../app/factor-ports.ts";
import type { StoredAccount } from "../app/ports.ts";
import { effectiveRole, isSecondFactorDue, type SessionFactor } from "../domain/session-rules.ts";

/** What an account may see of itself; the password hash never leaves the store's side. */
export function toApiAccount(account: StoredAccount, factor: SessionFactor): Account {
  const { accountId, email, name, role, createdAt, language } = account;
  return {
    accountId,
    email,
    name,
    role: effectiveRole(role, factor),
    createdAt: createdAt.toISOString(),
    language,
    secondFactorDue: isSecondFactorDue(role, factor),
  };
}

export function toApiPasskey(passkey: StoredPasskey): SecurityOverview["passkeys"][number] {
  const { credentialId: passkeyId, name, createdAt, lastUsedAt } = passkey;
  return { passkeyId, name, createdAt: createdAt.toISOString(), lastUsedAt: lastUsedAt?.toISOString() ?? null };
}

export function toApiOperatedAccount(account: OperatedAccount): ApiOperatedAccount {
  const { accountId, email, name, role, secondFactor, liveSessions } = account;
  return {
    accountId,
    email,
    name,
    role,
    createdAt: account.createdAt.toISOString(),
    blockedAt: account.blockedAt?.toISOString() ?? null,
    secondFactor,
    liveSessions,
    mailSignals: [...account.mailSignals],
  };
}
