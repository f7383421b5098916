import * as z from "zod";
import { idOf, instant } from "../codecs.ts";
import { accountAction } from "./account-operations.ts";
import {
  consentDocument,
  emailField,
  language,
  linkTokenField,
  passkeyAttestation,
  passwordField,
  personName,
  totpCode,
} from "./auth.ts";

/** What the owner of an account sees and does about its security, under /api/auth. */

export const passkey = z.strictObject({
  passkeyId: z.string(),
  name: z.string(),
  createdAt: instant,
  lastUsedAt: instant.nullable(),
});
export const securityOverview = z.strictObject({
  totp: z.boolean(),
  /** One-time codes that are still unused. */
  recoveryCodesLeft: z.number().int(),
  passkeys: z.array(passkey),
  /** Until then sensitive actions need no new proof; null when they do. */
  reauthenticatedUntil: instant.nullable(),
});
export type SecurityOverview = z.infer<typeof securityOverview>;

/** Shown once, while it is set up. `uri` is what the QR code holds (Key URI format of Google Authenticator). */
export const totpEnrolment = z.strictObject({ secret: z.string(), uri: z.string() });
export const totpConfirmBody = z.strictObject({ code: totpCode });
/** Shown once. */
export const recoveryCodes = z.strictObject({ recoveryCodes: z.array(z.string()) });
export const passkeyName = z.string().trim().min(1).max(60);
export const passkeyAddBody = z.strictObject({
  challengeId: z.string().max(64),
  name: passkeyName,
  passkey: passkeyAttestation,
});
export const passkeyResponse = z.strictObject({
  passkey,
  /** When this is the account's first second factor. */
  recoveryCodes: z.array(z.string()).nullable(),
});

export const ownSession = z.strictObject({
  sessionId: idOf("ses"),
  current: z.boolean(),
  /** "Firefox, Linux": family of browser and system, no more; null when it was forgotten. */
  device: z.string().nullable(),
  factor: z.enum(["password", "second_factor", "passkey"]),
  createdAt: instant,
  lastSeenAt: instant,
});
export const ownSessions = z.strictObject({ sessions: z.array(ownSession) });

export const passwordChangeBody = z.strictObject({ password: passwordField });
export const profileBody = z.strictObject({ name: personName.nullable().optional(), language: language.optional() });
export const emailChangeBody = z.strictObject({ email: emailField });
export const linkBody = z.strictObject({ token: linkTokenField });

export const consent = consentDocument.extend({ at: instant });
export const consentList = z.strictObject({ consents: z.array(consent) });

/** Something that was done to the account by an operator. */
export const accountAct = z.strictObject({
  actId: idOf("act"),
  action: accountAction,
  reason: z.string().nullable(),
  at: instant,
});
export const accountActList = z.strictObject({ acts: z.array(accountAct) });
