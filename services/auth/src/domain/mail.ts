/** What is mailed. `Link` kinds carry a token that is made when the mail is written, so that it is stored as its hash only. */
export type MailKind =
  | "register"
  | "reset"
  | "sign_in_link"
  | "email_change"
  | "invitation"
  | "password_changed"
  | "email_changed"
  | "email_change_asked"
  | "factor_added"
  | "factor_removed"
  | "recovery_code_used"
  | "recovery_codes_renewed"
  | "key_reported"
  | "sign_in_wave"
  | "blocked"
  | "unblocked";

export type MailLanguage = "ru" | "en";

export interface MailIntent {
  readonly kind: MailKind;
  readonly email: string;
  readonly language: MailLanguage;
  /** Small facts of the kind; never a secret. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

const minuteMs = 60_000;
/** Bounds of SEC-27: a reset at most half an hour, a verification at most a day. */
export const linkLifeMs = {
  register: 24 * 60 * minuteMs,
  reset: 30 * minuteMs,
  sign_in: 30 * minuteMs,
  email_change: 24 * 60 * minuteMs,
  invitation: 7 * 24 * 60 * minuteMs,
} as const;

/** A mail that could not be sent for this long is given up: its link would be of no use. */
export const mailLifeMs = 60 * minuteMs;
/** Intents that may wait; one more is dropped, and the log says so. */
export const mailsWaitingMax = 10_000;

/** When a failed mail is tried again: 2 s, 4 s, … 5 min. */
export function mailRetryMs(attempts: number): number {
  return Math.min(1_000 * 2 ** Math.min(attempts, 10), 5 * minuteMs);
}
