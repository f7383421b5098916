/**
 * Life of a browser session (SEC-20). Operators' sessions are shorter: idle 30 minutes, absolute 12 hours.
 *
 * Glossary
 *   idle      time without a request after which the session is over
 *   absolute  time after which it is over whatever happens
 *   token     the signed cookie; short-lived, made anew as long as the session lives
 */

export type SessionRole = "user" | "support" | "finance" | "admin";
/** How the person proved who it is; a passkey with user verification is two factors by itself. */
export type SessionFactor = "password" | "second_factor" | "passkey";

/** An operator's session without a second factor opens nothing but the way to one (SEC-25). */
export function isSecondFactorDue(role: SessionRole, factor: SessionFactor): boolean {
  return role !== "user" && factor === "password";
}

/** What the session says it may do: an operator has no rights of one before a second factor. */
export function effectiveRole(role: SessionRole, factor: SessionFactor): SessionRole {
  return isSecondFactorDue(role, factor) ? "user" : role;
}

/** Sensitive actions ask for a proof that is not older than this (SEC-24). */
export const proofAgeMaxMs = 5 * 60_000;

export interface SessionLife {
  readonly idleMs: number;
  readonly absoluteMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

export function sessionLife(role: SessionRole): SessionLife {
  return role === "user"
    ? { idleMs: 24 * hourMs, absoluteMs: 30 * 24 * hourMs }
    : { idleMs: 30 * minuteMs, absoluteMs: 12 * hourMs };
}

/** Life of a token; other services refuse older ones, and auth makes a new one (`GET /api/auth/me`). */
export const tokenSeconds = 900;
/** A token older than this is replaced when auth sees it. */
export const tokenRenewAfterSeconds = 300;
/** `last_seen_at` is written at most this often. */
export const seenEveryMs = minuteMs;

export interface SessionTimes {
  readonly role: SessionRole;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly endedAt: Date | null;
}

/** When the session ends by itself if nothing more happens; a time in the past means that it is over. */
export function sessionEndsAt(session: SessionTimes): Date {
  if (session.endedAt) return session.endedAt;
  const life = sessionLife(session.role);
  return new Date(Math.min(session.lastSeenAt.getTime() + life.idleMs, session.createdAt.getTime() + life.absoluteMs));
}
