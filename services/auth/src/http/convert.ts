import type {
  Account,
  OperatedAccount as ApiOperatedAccount,
  OperatedSession,
  SecurityOverview,
} from "@codex/contracts";
import type { SessionId } from "@codex/kernel";
import { createHash } from "node:crypto";
import type { OperatedAccount, StoredPasskey } from "../app/factor-ports.ts";
import type { StoredAccount } from "../app/ports.ts";
import type { RecentSession } from "../app/sessions.ts";
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

/**
 * What operators call a session by. An id is what the signed cookie is about, so it stays with its owner; 128 bits of its
 * digest name it as well and lead back to nothing (an id has 74 random bits).
 */
export function sessionRefOf(sessionId: SessionId): string {
  return createHash("sha256").update(`session ref ${sessionId}`).digest().subarray(0, 16).toString("base64url");
}

export function toApiOperatedSession(session: RecentSession, device: string | null): OperatedSession {
  const { sessionId, factor, state, createdAt, lastSeenAt, overAt } = session;
  return {
    sessionRef: sessionRefOf(sessionId),
    device,
    factor,
    createdAt: createdAt.toISOString(),
    lastSeenAt: lastSeenAt.toISOString(),
    state,
    overAt: overAt?.toISOString() ?? null,
  };
}
