import * as z from "zod";
import { role } from "../auth.ts";
import { idOf, instant } from "../codecs.ts";

/** Trimmed and lower-cased by auth; the address itself is checked for shape only. */
export const emailField = z.email().max(254);
/** The longest password in code points (SEC-10). */
export const passwordCharactersMax = 256;
/** A new password. Its least length is a setting of auth, its strength is judged there (SEC-11, SEC-12); no composition rules. */
export const passwordField = z
  .string()
  .min(1)
  .refine((text) => [...text].length <= passwordCharactersMax, {
    message: `use at most ${String(passwordCharactersMax)} characters`,
  });
/** A password that is compared with the one on file. */
export const givenPasswordField = z.string().min(1).max(1_024);
/** 256 bits in base64url, as they stand in a link that was mailed (SEC-27). */
export const linkTokenField = z.string().regex(/^[\w-]{43}$/, { message: "not a token of a link" });
export const personName = z.string().trim().min(1).max(100);
/** Of mails and pages. */
export const language = z.enum(["ru", "en"]);
export type Language = z.infer<typeof language>;

/** A document that somebody agrees to: which, in which version. Each stands alone and is never ticked beforehand. */
export const consentDocument = z.strictObject({
  document: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
  version: z.string().regex(/^[A-Za-z0-9._-]{1,40}$/),
});
export type ConsentDocument = z.infer<typeof consentDocument>;

export const registerBody = z.strictObject({
  email: emailField,
  password: passwordField,
  name: personName.optional(),
  language: language.optional(),
  consents: z.array(consentDocument).max(10).default([]),
  /** Where registration is by invitation only. */
  invitation: linkTokenField.optional(),
});
/** The same for every address, whether it has an account or not (SEC-15). */
export const mailSent = z.strictObject({ mail: z.literal("sent") });
export const verifyBody = z.strictObject({ token: linkTokenField, password: givenPasswordField });
export const signInBody = z.strictObject({ email: emailField, password: givenPasswordField });
export const addressBody = z.strictObject({ email: emailField, language: language.optional() });
export const linkSignInBody = z.strictObject({ token: linkTokenField, password: givenPasswordField });
export const resetBody = z.strictObject({ token: linkTokenField, password: passwordField });

export const account = z.strictObject({
  accountId: idOf("acc"),
  email: z.string(),
  name: z.string().nullable(),
  /** What this session may do: an operator who has not shown a second factor is a `user` (SEC-25). */
  role,
  createdAt: instant,
  language,
  /** An operator without a second factor in this session: the security page comes first. */
  secondFactorDue: z.boolean(),
});
export type Account = z.infer<typeof account>;
export const accountResponse = z.strictObject({ account });

export const secondFactorMethod = z.enum(["totp", "recovery_code", "passkey"]);
export type SecondFactorMethod = z.infer<typeof secondFactorMethod>;
/** The password was right; within five minutes a second factor must follow. */
export const secondFactorResponse = z.strictObject({
  secondFactor: z.strictObject({ ticket: z.string(), methods: z.array(secondFactorMethod).min(1) }),
});
export const signInResponse = z.union([accountResponse, secondFactorResponse]);

/** Six digits; blanks as apps show them are taken out by the page. */
export const totpCode = z.string().regex(/^\d{6}$/, { message: "six digits" });
export const recoveryCodeField = z.string().min(10).max(40);
/** What `navigator.credentials` gave, as WebAuthn's JSON form (W3C WebAuthn L3 §5.1). Verified by auth's library. */
const browserCredential = z.strictObject({
  id: z.string().max(2_048),
  rawId: z.string().max(2_048),
  type: z.literal("public-key"),
  authenticatorAttachment: z.string().max(40).nullish(),
  clientExtensionResults: z.record(z.string().max(40), z.json()),
});
export const passkeyAssertion = browserCredential.extend({
  response: z.strictObject({
    clientDataJSON: z.string().max(4_096),
    authenticatorData: z.string().max(4_096),
    /** Post-quantum ones have six thousand letters. */
    signature: z.string().max(8_192),
    userHandle: z.string().max(200).nullish(),
  }),
});
export type PasskeyAssertion = z.infer<typeof passkeyAssertion>;
export const passkeyAttestation = browserCredential.extend({
  response: z.strictObject({
    clientDataJSON: z.string().max(4_096),
    attestationObject: z.string().max(16_384),
    authenticatorData: z.string().max(4_096).nullish(),
    transports: z.array(z.string().max(20)).max(10).nullish(),
    publicKey: z.string().max(4_096).nullish(),
    publicKeyAlgorithm: z.number().int().nullish(),
  }),
});
export type PasskeyAttestation = z.infer<typeof passkeyAttestation>;

const proofs = [
  z.strictObject({ totp: totpCode }),
  z.strictObject({ recoveryCode: recoveryCodeField }),
  z.strictObject({ passkey: passkeyAssertion, challengeId: z.string().max(64) }),
] as const;
export const secondFactorProof = z.union(proofs);
export type SecondFactorProof = z.infer<typeof secondFactorProof>;
export const secondFactorBody = z.strictObject({ ticket: z.string().max(64), proof: secondFactorProof });
/** Proof that it is still the same person, before something sensitive (SEC-24). */
export const reauthenticateBody = z.union([z.strictObject({ password: givenPasswordField }), ...proofs]);
export type ReauthenticationProof = z.infer<typeof reauthenticateBody>;

/** Options for `navigator.credentials`; made by auth's library, read by the browser's. */
export const passkeyOptions = z.strictObject({ challengeId: z.string(), options: z.record(z.string(), z.json()) });
export const passkeySignInBody = z.strictObject({ challengeId: z.string().max(64), passkey: passkeyAssertion });

/** What a sign-up page must know before it is filled in. */
export const registrationRules = z.strictObject({
  registration: z.enum(["open", "invite", "closed"]),
  passwordCharactersMin: z.number().int(),
  consents: z.array(consentDocument),
  /** Where this installation shows its mails instead of sending them; only for trying it out. */
  demoMailbox: z.boolean(),
});
export const demoMail = z.strictObject({
  to: z.string(),
  subject: z.string(),
  text: z.string(),
  sentAt: instant,
});
export const demoMailbox = z.strictObject({ mails: z.array(demoMail) });

/** The first operator, by the one-time code that the installation printed. */
export const bootstrapBody = z.strictObject({
  code: linkTokenField,
  email: emailField,
  password: passwordField,
  name: personName.optional(),
});
