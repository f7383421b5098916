import { newId, ok, refuse, type AccountId, type Result, type SessionId } from "@codex/kernel";
import {
  effectiveRole,
  isSecondFactorDue,
  seenEveryMs,
  sessionEndsAt,
  type SessionFactor,
} from "../domain/session-rules.ts";
import type { AuthPorts, StoredSession } from "./ports.ts";

export interface LiveSession extends StoredSession {
  readonly secondFactorDue: boolean;
  readonly expiresAt: Date;
}

type SessionPorts = Pick<AuthPorts, "sessions" | "clock">;

/** A new session with a new id, at each sign-in (no fixation, SEC-20). */
export async function beginSession(
  ports: SessionPorts,
  accountId: AccountId,
  factor: SessionFactor,
): Promise<SessionId> {
  const sessionId = newId("ses");
  await ports.sessions.create({ sessionId, accountId, factor, now: ports.clock.now() });
  return sessionId;
}

/** Ends every session of the account and begins one in the place of the caller's: after a change of what protects it. */
export async function replaceSessions(
  ports: SessionPorts,
  accountId: AccountId,
  factor: SessionFactor,
): Promise<SessionId> {
  const sessionId = newId("ses");
  await ports.sessions.replaceAll({ sessionId, accountId, factor, now: ports.clock.now() });
  return sessionId;
}

/** The session, if it lives, with the role that it may use; keeps it alive. */
export async function checkSession(
  ports: SessionPorts,
  sessionId: SessionId,
): Promise<Result<LiveSession, "session_ended">> {
  const session = await ports.sessions.find(sessionId);
  const now = ports.clock.now();
  if (!session || sessionEndsAt(session) <= now) return refuse("session_ended", "the session has ended");
  const secondFactorDue = isSecondFactorDue(session.role, session.factor);
  // By the account's role, before a factor too: an operator's session is short from its beginning.
  const live = { ...session, role: effectiveRole(session.role, session.factor), secondFactorDue };
  if (now.getTime() - session.lastSeenAt.getTime() < seenEveryMs)
    return ok({ ...live, expiresAt: sessionEndsAt(session) });
  await ports.sessions.seen(sessionId, now);
  return ok({ ...live, expiresAt: sessionEndsAt({ ...session, lastSeenAt: now }) });
}

/** Idempotent. */
export async function endSession(ports: SessionPorts, sessionId: SessionId): Promise<void> {
  await ports.sessions.end(sessionId, ports.clock.now());
}

/** Live sessions, newest first. */
export async function listSessions(ports: SessionPorts, accountId: AccountId): Promise<readonly StoredSession[]> {
  const now = ports.clock.now();
  const sessions = await ports.sessions.listOf(accountId, now);
  return sessions.filter((session) => sessionEndsAt(session) > now);
}

export type SessionState = "live" | "expired" | "ended";

export interface RecentSession extends StoredSession {
  readonly state: SessionState;
  /** When it was over; null while it lives. */
  readonly overAt: Date | null;
}

/** Sessions of the last 31 days, live ones first, then by last use, newest first; at most 100. */
export async function listRecentSessions(ports: SessionPorts, accountId: AccountId): Promise<readonly RecentSession[]> {
  const now = ports.clock.now();
  const recent = (await ports.sessions.recentOf(accountId, now)).map((session): RecentSession => {
    const endsAt = sessionEndsAt(session);
    if (session.endedAt) return { ...session, state: "ended", overAt: session.endedAt };
    return endsAt > now
      ? { ...session, state: "live", overAt: null }
      : { ...session, state: "expired", overAt: endsAt };
  });
  const over = (session: RecentSession): boolean => session.state !== "live";
  const byUse = (a: RecentSession, b: RecentSession): number => b.lastSeenAt.getTime() - a.lastSeenAt.getTime();
  return recent.toSorted((a, b) => Number(over(a)) - Number(over(b)) || byUse(a, b));
}
