import * as z from "zod";
import { idOf, instant } from "../codecs.ts";

/**
 * The audit log of a service, in one form: `GET /api/<service>/audit` is what its owner sees of an account,
 * `GET /api/<service>/operator/audit` what operators search. Ids and settings only; no secret, and nothing of a request's content.
 */

const actionName = z.string().regex(/^[a-z][a-z0-9_.]{0,63}$/);

/** What can be done with keys. `key_reported`: somebody proved that it is known to others, and it was revoked. */
export const keyAction = z.enum([
  "key_created",
  "key_changed",
  "key_rolled",
  "key_revoked",
  "key_shown",
  "key_reported",
]);
export type KeyAction = z.infer<typeof keyAction>;

const line = {
  actId: idOf("act"),
  action: z.string(),
  /** The object, by its id. */
  target: z.string().nullable(),
  reason: z.string().nullable(),
  /** By the action: names and new values of settings, amounts as micro-tokens in text. */
  details: z.record(z.string(), z.unknown()),
  at: instant,
};

/** A line as operators see it. `hash` covers the line and the hash before it (SEC-147). */
export const auditLine = z.strictObject({
  ...line,
  seq: z.string(),
  /** Null: no person, but the service itself or whoever has the machine. */
  actorId: idOf("acc").nullable(),
  /** Whom it concerns. */
  accountId: idOf("acc").nullable(),
  hash: z.string(),
});
export type AuditLine = z.infer<typeof auditLine>;
/** Newest first. */
export const auditLineList = z.strictObject({ lines: z.array(auditLine), nextCursor: z.string().nullable() });
/** Every condition that is given must hold. */
export const auditQuery = z.strictObject({
  accountId: idOf("acc").optional(),
  actorId: idOf("acc").optional(),
  action: actionName.optional(),
  /** From this time on. */
  since: instant.optional(),
  /** Before this time. */
  until: instant.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

/** A line as the owner of the account sees it: which operator it was stays inside. */
export const ownAuditLine = z.strictObject({ ...line, by: z.enum(["you", "operator", "service"]) });
export type OwnAuditLine = z.infer<typeof ownAuditLine>;
/** Newest first. */
export const ownAuditLineList = z.strictObject({ lines: z.array(ownAuditLine), nextCursor: z.string().nullable() });
export const ownAuditQuery = z.strictObject({
  action: actionName.optional(),
  since: instant.optional(),
  until: instant.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});
