import * as z from "zod";
import { idOf, instant } from "./codecs.ts";
import { defineEvent, defineRpc } from "./define.ts";

export const role = z.enum(["user", "support", "finance", "admin"]);
export type Role = z.infer<typeof role>;

/** No personal data on the bus: the e-mail address stays in auth. */
export const accountRegistered = defineEvent({
  stream: "EVENTS",
  type: "account.registered",
  version: 1,
  pattern: "evt.account.registered.v1.{accountId}",
  description: "An account was created.",
  data: z.strictObject({ accountId: idOf("acc"), role, createdAt: instant }),
});

export const accountBlocked = defineEvent({
  stream: "EVENTS",
  type: "account.blocked",
  version: 1,
  pattern: "evt.account.blocked.v1.{accountId}",
  description: "An operator blocked the account, or took the block away. Its browser sessions have ended.",
  data: z.strictObject({ accountId: idOf("acc"), blocked: z.boolean(), at: instant }),
});

export const sessionCheck = defineRpc({
  subject: "rpc.auth.session.check.v1",
  description:
    "Is this browser session alive? The row in auth is the truth; the signed cookie is only a cheap first check.",
  timeoutMs: 2_000,
  req: z.strictObject({ sessionId: idOf("ses") }),
  res: z.strictObject({
    sessionId: idOf("ses"),
    accountId: idOf("acc"),
    role,
    expiresAt: instant,
  }),
  errors: ["session_ended"],
});

/** As v1, and how sure we are: for routes that ask for a fresh proof (SEC-24). */
export const sessionCheckV2 = defineRpc({
  subject: "rpc.auth.session.check.v2",
  description: "As v1, with when the person last proved who it is.",
  timeoutMs: 2_000,
  req: z.strictObject({ sessionId: idOf("ses") }),
  res: z.strictObject({
    sessionId: idOf("ses"),
    accountId: idOf("acc"),
    role,
    expiresAt: instant,
    /** Password, second factor or passkey. */
    authenticatedAt: instant,
  }),
  /** `second_factor_due`: an operator who has shown none; nothing outside auth is open (SEC-25). */
  errors: ["session_ended", "second_factor_due"],
});

export const jwksGet = defineRpc({
  subject: "rpc.auth.jwks.v1",
  description: "Public keys that verify session cookies and receipts (RFC 7517), active and retiring ones.",
  timeoutMs: 2_000,
  req: z.strictObject({}),
  res: z.strictObject({
    keys: z
      .array(
        z.strictObject({
          kty: z.literal("OKP"),
          crv: z.literal("Ed25519"),
          x: z.string(),
          kid: z.string(),
          alg: z.literal("EdDSA"),
          use: z.literal("sig"),
        }),
      )
      .max(16),
  }),
  errors: [],
});
