import { newId, ok, refuse, type AccountId, type Result, type SessionId } from "@codex/kernel";
import { seenEveryMs, sessionEndsAt } from "../domain/session-rules.ts";
import type { AuthPorts, StoredSession } from "./ports.ts";

export interface LiveSession extends StoredSession {
  readonly expiresAt: Date;
}

type SessionPorts = Pick<AuthPorts, "sessions" | "clock">;

/** A new session with a new id, at each sign-in (no fixation, SEC-20). */
export async function beginSession(ports: SessionPorts, accountId: AccountId): Promise<SessionId> {
  const sessionId = newId("ses");
  await ports.sessions.create(sessionId, accountId, ports.clock.now());
  return sessionId;
}

/** The session, if it lives; keeps it alive. */
export async function checkSession(
  ports: SessionPorts,
  sessionId: SessionId,
): Promise<Result<LiveSession, "session_ended">> {
  const session = await ports.sessions.find(sessionId);
  const now = ports.clock.now();
  if (!session || sessionEndsAt(session) <= now) return refuse("session_ended", "the session has ended");
  if (now.getTime() - session.lastSeenAt.getTime() < seenEveryMs)
    return ok({ ...session, expiresAt: sessionEndsAt(session) });
  await ports.sessions.seen(sessionId, now);
  return ok({ ...session, expiresAt: sessionEndsAt({ ...session, lastSeenAt: now }) });
}

/** Idempotent. */
export async function endSession(ports: SessionPorts, sessionId: SessionId): Promise<void> {
  await ports.sessions.end(sessionId, ports.clock.now());
}
