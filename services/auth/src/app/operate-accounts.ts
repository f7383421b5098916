import { newId, ok, refuse, type AccountId, type Result, type SessionId } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { SessionRole } from "../domain/session-rules.ts";
import type { OperatedAccount } from "./factor-ports.ts";
import { checkNewPassword, type PasswordRefusal } from "./password-rules.ts";
import type { AuthPorts, StoredAccount } from "./ports.ts";
import { linkInvalid } from "./register.ts";
import { listRecentSessions, type RecentSession } from "./sessions.ts";

/** What operators do about accounts; each act leaves a line that nobody can take out again, and the owner sees it. */

export interface Act {
  readonly actorId: AccountId;
  readonly accountId: AccountId;
  readonly reason: string;
}

type Refused = "not_found" | "own_account";

async function subjectOf(ports: AuthPorts, act: Act): Promise<Result<OperatedAccount, Refused>> {
  if (act.actorId === act.accountId) return refuse("own_account", "An operator does not act on the own account.");
  const account = await ports.acts.find(act.accountId, ports.clock.now());
  return account ? ok(account) : refuse("not_found", "There is no such account.");
}

/** Idempotent: an account that is blocked stays so, without another line. */
export async function setBlocked(
  ports: AuthPorts,
  act: Act,
  blocked: boolean,
): Promise<Result<OperatedAccount, Refused>> {
  const subject = await subjectOf(ports, act);
  if (!subject.ok) return subject;
  const now = ports.clock.now();
  const { email, language } = subject.value;
  const action = blocked ? "account_blocked" : "account_unblocked";
  await ports.acts.setBlocked({ ...act, action }, blocked, now, [
    { kind: blocked ? "blocked" : "unblocked", email, language, data: { reason: act.reason } },
  ]);
  return changed(ports, act.accountId);
}

export async function endSessionsOf(ports: AuthPorts, act: Act): Promise<Result<OperatedAccount, Refused>> {
  const subject = await subjectOf(ports, act);
  if (!subject.ok) return subject;
  await ports.acts.endSessions({ ...act, action: "sessions_ended" }, ports.clock.now());
  return changed(ports, act.accountId);
}

/**
 * Ends the one session of the account that `isMeant` says yes to. Idempotent: one that is over already stays so, without
 * another line.
 */
export async function endOneSessionOf(
  ports: AuthPorts,
  act: Act,
  isMeant: (sessionId: SessionId) => boolean,
): Promise<Result<readonly RecentSession[], Refused>> {
  const subject = await subjectOf(ports, act);
  if (!subject.ok) return subject;
  const recent = await listRecentSessions(ports, act.accountId);
  const session = recent.find(({ sessionId }) => isMeant(sessionId));
  if (!session) return refuse("not_found", "The account has no such session.");
  // By the sign-in: the owner knows it by that, and its id is nobody's business.
  const details = { signedInAt: session.createdAt.toISOString() };
  await ports.acts.endSession({ ...act, action: "session_ended", details }, session.sessionId, ports.clock.now());
  return ok(await listRecentSessions(ports, act.accountId));
}

export async function setRole(
  ports: AuthPorts,
  act: Act,
  role: SessionRole,
): Promise<Result<OperatedAccount, Refused>> {
  const subject = await subjectOf(ports, act);
  if (!subject.ok) return subject;
  const reason = `${subject.value.role} → ${role}: ${act.reason}`;
  await ports.acts.setRole({ ...act, reason, action: "role_set" }, role, ports.clock.now());
  return changed(ports, act.accountId);
}

async function changed(ports: AuthPorts, accountId: AccountId): Promise<Result<OperatedAccount, "not_found">> {
  const account = await ports.acts.find(accountId, ports.clock.now());
  return account ? ok(account) : refuse("not_found", "There is no such account.");
}

/**
 * The first operator, by the one-time code that whoever has the machine had printed. The address is not proved: who can
 * run commands there could have set anything.
 */
export async function makeFirstOperator(
  ports: AuthPorts,
  ask: { readonly code: string; readonly email: string; readonly password: string; readonly name: string | undefined },
): Promise<Result<StoredAccount, "link_invalid" | PasswordRefusal>> {
  const email = canonicalEmail(ask.email);
  // First, so that nobody without the code has anything hashed.
  if (!(await ports.acts.isBootstrapCode(ask.code, ports.clock.now()))) return linkInvalid();
  const checked = await checkNewPassword(ports, ask.password, { email, name: ask.name });
  if (!checked.ok) return checked;
  const passwordHash = await ports.hasher.hash(ask.password);
  const now = ports.clock.now();
  // Taken last, so that a password that is refused does not use it up.
  if (!(await ports.acts.takeBootstrapCode(ask.code, now))) return linkInvalid();
  const account: StoredAccount = {
    accountId: newId("acc"),
    email,
    name: ask.name ?? null,
    role: "admin",
    passwordHash,
    createdAt: now,
    language: "ru",
    blockedAt: null,
  };
  if (!(await ports.accounts.create(account))) return linkInvalid();
  const { accountId } = account;
  await ports.acts.record({ actorId: null, action: "first_operator_made", accountId, reason: null }, now);
  return ok(account);
}
