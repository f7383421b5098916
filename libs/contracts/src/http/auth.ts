import * as z from "zod";
import { role } from "../auth.ts";
import { idOf, instant } from "../codecs.ts";

/** Trimmed and lower-cased by auth; the address itself is checked for shape only. */
export const emailField = z.email().max(254);
/** Bounds in code points (SEC-10, SEC-11). No composition rules. */
export const passwordField = z
  .string()
  .refine((text) => [...text].length >= 12, { message: "use at least 12 characters" })
  .refine((text) => [...text].length <= 256, { message: "use at most 256 characters" });

export const registerBody = z.strictObject({
  email: emailField,
  password: passwordField,
  name: z.string().trim().min(1).max(100).optional(),
});
export const signInBody = z.strictObject({ email: emailField, password: z.string().min(1).max(1_024) });
export const account = z.strictObject({
  accountId: idOf("acc"),
  email: z.string(),
  name: z.string().nullable(),
  role,
  createdAt: instant,
});
export type Account = z.infer<typeof account>;
export const accountResponse = z.strictObject({ account });
