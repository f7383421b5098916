import { newId, ok, refuse, type Result } from "@codex/kernel";
import { canonicalEmail, consentsMatch, type Consent } from "../domain/account.ts";
import type { MailLanguage } from "../domain/mail.ts";
import { checkNewPassword, type PasswordRefusal } from "./password-rules.ts";
import type { AuthPorts, StoredAccount } from "./ports.ts";

export interface RegistrationAsk {
  readonly email: string;
  readonly password: string;
  readonly name: string | undefined;
  readonly language: MailLanguage;
  readonly consents: readonly Consent[];
  readonly invitation: string | undefined;
  readonly clientIp: string;
}

/**
 * Takes a registration and has its mail sent. Everything that is done here is done for every address alike: whether there
 * is an account is looked up by whoever writes the mail (SEC-15). There is no account before its address is proved.
 */
export async function register(
  ports: AuthPorts,
  ask: RegistrationAsk,
): Promise<Result<undefined, PasswordRefusal | "registration_closed" | "consents_missing">> {
  const { rules, clock } = ports;
  const email = canonicalEmail(ask.email);
  if (rules.registration === "closed") return refuse("registration_closed", "New accounts are not taken at present.");
  if (!consentsMatch(ask.consents, rules.consents)) {
    return refuse("consents_missing", "agree to each of the documents that are in force, and to no other");
  }
  const mayMail = await ports.throttle.admitMail(email, ask.clientIp);
  if (rules.registration === "invite") {
    const { invitation } = ask;
    const isInvited = invitation !== undefined && (await ports.registrations.isInvited(invitation, email, clock.now()));
    if (!isInvited)
      return refuse(
        "registration_closed",
        "Accounts are by invitation. The invitation is for another address, was used, or has run out.",
      );
  }
  const checked = await checkNewPassword(ports, ask.password, { email, name: ask.name });
  if (!checked.ok) return checked;
  const passwordHash = await ports.hasher.hash(ask.password);
  const { language, consents } = ask;
  const invitation = rules.registration === "invite" ? ask.invitation : undefined;
  if (mayMail) {
    await ports.registrations.put(
      { email, name: ask.name ?? null, passwordHash, language, consents, invitation },
      clock.now(),
    );
  }
  return ok(undefined);
}

/**
 * The link was opened, and the password that was chosen shows that it is the same person: a stranger's registration of
 * somebody's address cannot become an account by the owner's curiosity. Makes the account, of role `user`.
 */
export async function confirmRegistration(
  ports: AuthPorts,
  token: string,
  password: string,
): Promise<Result<StoredAccount, "link_invalid" | "invalid_credentials">> {
  const { registrations, clock } = ports;
  const registration = await registrations.find(token, clock.now());
  if (!registration) return linkInvalid();
  if (!(await ports.hasher.verify(password, registration.passwordHash))) {
    await registrations.failed(token);
    return refuse("invalid_credentials", "This is not the password that was chosen at registration.");
  }
  if (!(await registrations.take(token))) return linkInvalid();
  const account: StoredAccount = {
    accountId: newId("acc"),
    email: registration.email,
    name: registration.name,
    role: "user",
    passwordHash: registration.passwordHash,
    createdAt: clock.now(),
    language: registration.language,
    blockedAt: null,
  };
  return (await ports.accounts.create(account, registration.consents)) ? ok(account) : linkInvalid();
}

export function linkInvalid(): { readonly ok: false; readonly code: "link_invalid"; readonly message: string } {
  return {
    ok: false,
    code: "link_invalid",
    message: "The link has run out, was used, or was replaced by a newer one. Ask for a new one.",
  };
}
