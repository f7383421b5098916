import * as z from "zod";
import { role } from "../auth.ts";
import { idOf, instant } from "../codecs.ts";
import { emailField, language } from "./auth.ts";

/** What operators see and do about accounts, under /api/auth/operator. No secret is in any answer. */

export const operatedAccount = z.strictObject({
  accountId: idOf("acc"),
  email: z.string(),
  name: z.string().nullable(),
  role,
  createdAt: instant,
  blockedAt: instant.nullable(),
  secondFactor: z.boolean(),
  liveSessions: z.number().int(),
  /** Signs that it may be one of many of the same person: a throw-away address, a mailbox of another account (SEC-28). */
  mailSignals: z.array(z.enum(["disposable", "shared_mailbox"])),
});
export type OperatedAccount = z.infer<typeof operatedAccount>;
export const operatedAccountResponse = z.strictObject({ account: operatedAccount });
/** Oldest first. */
export const operatedAccountList = z.strictObject({
  accounts: z.array(operatedAccount),
  nextCursor: z.string().nullable(),
});
export const accountQuery = z.strictObject({
  /** An id, or the beginning of an address. */
  search: z.string().trim().min(1).max(254).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(200).optional(),
});
export const accountActReason = z.string().trim().min(3).max(500);
export const accountActBody = z.strictObject({ reason: accountActReason });
export const roleBody = z.strictObject({ role, reason: accountActReason });

/**
 * A session as an operator sees it. No address, and not its id: `sessionRef` is a digest that names it within this API and
 * nowhere else.
 */
export const sessionRef = z.string().regex(/^[\w-]{22}$/, { message: "not the reference of a session" });
export const operatedSession = z.strictObject({
  sessionRef,
  /** "Firefox, Linux": family of browser and system, no more; null when it was forgotten. */
  device: z.string().nullable(),
  factor: z.enum(["password", "second_factor", "passkey"]),
  createdAt: instant,
  lastSeenAt: instant,
  /** `expired`: over by itself; `ended`: by its owner, an operator, or a change of what protects the account. */
  state: z.enum(["live", "expired", "ended"]),
  /** When it was over; null while it lives. */
  overAt: instant.nullable(),
});
export type OperatedSession = z.infer<typeof operatedSession>;
/** Of the last 31 days, at most 100: live ones first, then by last use, newest first. */
export const operatedSessionList = z.strictObject({ sessions: z.array(operatedSession) });

export const invitationBody = z.strictObject({ email: emailField, language: language.optional() });

/** What an operator can have done. */
export const accountAction = z.enum([
  "account_viewed",
  "sessions_viewed",
  "accounts_searched",
  "account_blocked",
  "account_unblocked",
  "sessions_ended",
  "session_ended",
  "role_set",
  "account_invited",
  "first_operator_made",
]);
export type AccountAction = z.infer<typeof accountAction>;

/** What owners do with what protects their accounts, in the same log. */
export const credentialAction = z.enum([
  "account_registered",
  "password_changed",
  "email_changed",
  "totp_added",
  "totp_removed",
  "passkey_added",
  "passkey_removed",
  "recovery_codes_renewed",
  "recovery_code_used",
]);
export type CredentialAction = z.infer<typeof credentialAction>;
