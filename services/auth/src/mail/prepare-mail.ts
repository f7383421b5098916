import { parseId, type AccountId } from "@codex/kernel";
import type { AuthPorts } from "../app/ports.ts";
import type { Mail, MailIntent } from "../domain/mail.ts";
import { writeMail, type TextKind } from "./texts.ts";

type Ports = Pick<AuthPorts, "accounts" | "registrations" | "links" | "clock">;

/**
 * Writes a waiting mail: here, out of sight of whoever asked, it is found out whether the address has an account (SEC-15).
 * Undefined when there is nobody to write to. A token is made now and stored as its hash; when the mail has to be written
 * again, the one before dies.
 */
export async function prepareMail(ports: Ports, origin: string, intent: MailIntent): Promise<Mail | undefined> {
  const { kind, email, language } = intent;
  const facts = intent.data ?? {};
  const write = (text: TextKind, to = language, link?: string): Mail =>
    writeMail(email, text, to, { origin, facts, ...(link === undefined ? {} : { link }) });
  const page = (path: string, token: string): string => `${origin}${path}#${token}`;
  const now = ports.clock.now();
  switch (kind) {
    case "register": {
      const known = await ports.accounts.findByEmail(email);
      if (known) {
        await ports.registrations.drop(email);
        return write("register_known", known.language);
      }
      const token = await ports.registrations.issueToken(email);
      return token === undefined ? undefined : write("register", language, page("/verify", token));
    }
    case "reset":
    case "sign_in_link": {
      const account = await ports.accounts.findByEmail(email);
      if (!account) return undefined;
      const purpose = kind === "reset" ? "reset" : "sign_in";
      const token = await ports.links.issue(account.accountId, purpose, null, now);
      return write(kind, account.language, page(kind === "reset" ? "/reset" : "/sign-in-link", token));
    }
    case "email_change": {
      const accountId: AccountId | undefined = parseId("acc", facts["accountId"] ?? "");
      if (!accountId) return undefined;
      if (await ports.accounts.findByEmail(email)) return write("email_change_known");
      const token = await ports.links.issue(accountId, "email_change", email, now);
      return write("email_change", language, page("/email", token));
    }
    case "invitation": {
      const invitedBy: AccountId | undefined = parseId("acc", facts["invitedBy"] ?? "");
      if (!invitedBy) return undefined;
      const token = await ports.registrations.invite(email, invitedBy, now);
      return write("invitation", language, page("/sign-up", token));
    }
    case "password_changed":
    case "email_changed":
    case "email_change_asked":
    case "factor_added":
    case "factor_removed":
    case "recovery_code_used":
    case "recovery_codes_renewed":
    case "key_reported":
    case "sign_in_wave":
    case "blocked":
    case "unblocked":
      return write(kind);
  }
}
