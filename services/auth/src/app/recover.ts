import { ok, type Result } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { MailKind, MailLanguage } from "../domain/mail.ts";
import { checkNewPassword, type PasswordRefusal } from "./password-rules.ts";
import type { AuthPorts } from "./ports.ts";
import { linkInvalid } from "./register.ts";

/**
 * Has a link mailed, if there is an account: which of the two is found out later and elsewhere, so the answer and its time
 * are the same (SEC-15). It works while signing in is throttled (SEC-16).
 */
export async function askForLink(
  ports: AuthPorts,
  kind: Extract<MailKind, "reset" | "sign_in_link">,
  ask: { readonly email: string; readonly language: MailLanguage; readonly clientIp: string },
): Promise<void> {
  const email = canonicalEmail(ask.email);
  if (!(await ports.throttle.admitMail(email, ask.clientIp))) return;
  await ports.mails.enqueue({ kind, email, language: ask.language });
}

/**
 * Sets a new password by a mailed link. Signs nobody in, and a second factor is asked for as before (SEC-27). A password
 * that is refused does not use the link up.
 */
export async function resetPassword(
  ports: AuthPorts,
  token: string,
  password: string,
): Promise<Result<undefined, "link_invalid" | PasswordRefusal>> {
  const link = await ports.links.find(token, "reset", ports.clock.now());
  const account = link && (await ports.accounts.findById(link.accountId));
  if (!account) return linkInvalid();
  const checked = await checkNewPassword(ports, password, account);
  if (!checked.ok) return checked;
  const hash = await ports.hasher.hash(password);
  const now = ports.clock.now();
  if (!(await ports.links.take(token, "reset", now))) return linkInvalid();
  const { accountId, email, language } = account;
  await ports.accounts.changePassword(accountId, hash, now, [{ kind: "password_changed", email, language }]);
  await ports.throttle.unlock(email);
  return ok(undefined);
}
