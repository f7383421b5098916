import type { PasskeyAttestation, ReauthenticationProof } from "@codex/contracts";
import { ok, refuse, type AccountId, type Result, type SessionId } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { MailIntent, MailKind } from "../domain/mail.ts";
import type { SessionFactor } from "../domain/session-rules.ts";
import { checkNewPassword, type PasswordRefusal } from "./password-rules.ts";
import type { Attempt, AuthPorts, StoredAccount } from "./ports.ts";
import { linkInvalid } from "./register.ts";
import { canonicalRecoveryCode, newRecoveryCodes, verifyProof, verifyTotp } from "./second-factor.ts";
import { replaceSessions } from "./sessions.ts";
import type { StoredPasskey } from "./factor-ports.ts";

/**
 * What owners do about the security of their accounts. Whatever changes a credential ends every other session, gives the
 * caller a new one, and tells the owner by mail (SEC-20, SEC-21; ASVS 6.3.7).
 */

const notice = (account: StoredAccount, kind: MailKind, data?: Readonly<Record<string, string>>): MailIntent => ({
  kind,
  email: account.email,
  language: account.language,
  ...(data === undefined ? {} : { data }),
});

/** Proof that it is still the same person (SEC-24); counted like a sign-in. */
export async function reauthenticate(
  ports: AuthPorts,
  account: StoredAccount,
  sessionId: SessionId,
  proof: ReauthenticationProof,
  from: Omit<Attempt, "email">,
): Promise<Result<undefined, "invalid_credentials" | "second_factor_wrong">> {
  const { accountId } = account;
  if ("password" in proof) {
    const attempt = { ...from, email: account.email };
    await ports.throttle.admit(attempt);
    if (!(await ports.hasher.verify(proof.password, account.passwordHash)))
      return refuse("invalid_credentials", "The password is wrong.");
    await ports.throttle.succeeded(attempt);
  } else {
    await ports.throttle.admitFactor(accountId);
    if (!(await verifyProof(ports, account, proof)))
      return refuse("second_factor_wrong", "The second factor is wrong, or was used before.");
    await ports.throttle.factorSucceeded(accountId);
  }
  await ports.sessions.proved(sessionId, ports.clock.now());
  return ok(undefined);
}

async function factorOf(ports: AuthPorts, sessionId: SessionId): Promise<SessionFactor> {
  return (await ports.sessions.find(sessionId))?.factor ?? "password";
}

export async function changePassword(
  ports: AuthPorts,
  account: StoredAccount,
  sessionId: SessionId,
  password: string,
): Promise<Result<SessionId, PasswordRefusal>> {
  const checked = await checkNewPassword(ports, password, account);
  if (!checked.ok) return checked;
  const factor = await factorOf(ports, sessionId);
  const hash = await ports.hasher.hash(password);
  await ports.accounts.changePassword(account.accountId, hash, ports.clock.now(), [
    notice(account, "password_changed"),
  ]);
  return ok(await replaceSessions(ports, account.accountId, factor));
}

/** The old address is told at once, the new one has to confirm. Whether the new one is in use is not told (SEC-15). */
export async function askForNewEmail(
  ports: AuthPorts,
  account: StoredAccount,
  text: string,
  clientIp: string,
): Promise<void> {
  const email = canonicalEmail(text);
  if (!(await ports.throttle.admitMail(email, clientIp))) return;
  await ports.mails.enqueue(notice(account, "email_change_asked", { to: email }));
  const { accountId, language } = account;
  await ports.mails.enqueue({ kind: "email_change", email, language, data: { accountId } });
}

/** By the link in the mail to the new address; both addresses are told. */
export async function confirmNewEmail(ports: AuthPorts, token: string): Promise<Result<undefined, "link_invalid">> {
  const link = await ports.links.take(token, "email_change", ports.clock.now());
  const account = link && (await ports.accounts.findById(link.accountId));
  if (!link?.email || !account) return linkInvalid();
  const told = notice(account, "email_changed", { to: link.email });
  const changed = await ports.accounts.changeEmail(account.accountId, link.email, [
    told,
    { ...told, email: link.email },
  ]);
  return changed ? ok(undefined) : linkInvalid();
}

export interface FactorChange {
  readonly sessionId: SessionId;
  /** With the account's first factor. */
  readonly recoveryCodes: readonly string[] | null;
}

/** The first factor comes with recovery codes; who adds another keeps those there are. */
async function factorAdded(
  ports: AuthPorts,
  account: StoredAccount,
  factor: SessionFactor,
  name: string,
): Promise<FactorChange> {
  const { accountId } = account;
  const isFirst = (await ports.factors.recoveryCodesLeft(accountId)) === 0;
  const recoveryCodes = isFirst ? await renewCodes(ports, accountId) : null;
  await ports.mails.enqueue(notice(account, "factor_added", { factor: name }));
  return { sessionId: await replaceSessions(ports, accountId, factor), recoveryCodes };
}

async function renewCodes(ports: AuthPorts, accountId: AccountId): Promise<readonly string[]> {
  const codes = newRecoveryCodes();
  await ports.factors.setRecoveryCodes(accountId, codes.map(canonicalRecoveryCode));
  return codes;
}

export async function renewRecoveryCodes(
  ports: AuthPorts,
  account: StoredAccount,
): Promise<Result<readonly string[], "conflict">> {
  if ((await factorsLeft(ports, account.accountId)) === 0)
    return refuse("conflict", "Recovery codes belong to a second factor. Set one up first.");
  const codes = await renewCodes(ports, account.accountId);
  await ports.mails.enqueue(notice(account, "recovery_codes_renewed"));
  return ok(codes);
}

export async function beginTotp(
  ports: AuthPorts,
  account: StoredAccount,
): Promise<Result<{ readonly secret: string; readonly uri: string }, "conflict">> {
  const secret = ports.totp.newSecret();
  const put = await ports.factors.putTotp(account.accountId, secret, ports.clock.now());
  if (!put) return refuse("conflict", "An authenticator app is set up already. Remove it first.");
  return ok({ secret, uri: ports.totp.uri(secret, account.email) });
}

export async function confirmTotp(
  ports: AuthPorts,
  account: StoredAccount,
  code: string,
): Promise<Result<FactorChange, "second_factor_wrong">> {
  await ports.throttle.admitFactor(account.accountId);
  if (!(await verifyTotp(ports, account.accountId, code, true)))
    return refuse("second_factor_wrong", "This is not the code that the app shows now.");
  await ports.throttle.factorSucceeded(account.accountId);
  return ok(await factorAdded(ports, account, "second_factor", "TOTP"));
}

export async function addPasskey(
  ports: AuthPorts,
  account: StoredAccount,
  input: { readonly challengeId: string; readonly name: string; readonly attestation: PasskeyAttestation },
): Promise<Result<FactorChange & { readonly passkey: StoredPasskey }, "second_factor_wrong" | "conflict">> {
  const { accountId } = account;
  const now = ports.clock.now();
  const challenge = await ports.challenges.take(input.challengeId, "passkey_add", now);
  const verified =
    challenge?.accountId === accountId
      ? await ports.passkeys.verifyAttestation(input.attestation, challenge.value)
      : undefined;
  if (!verified) return refuse("second_factor_wrong", "The passkey could not be verified. Begin again.");
  const passkey = { ...verified, accountId, name: input.name, createdAt: now, lastUsedAt: null };
  if (!(await ports.factors.addPasskey(passkey)))
    return refuse("conflict", "The passkey is known already, or the account has as many as it may.");
  return ok({ ...(await factorAdded(ports, account, "passkey", `passkey ${input.name}`)), passkey });
}

async function factorsLeft(ports: AuthPorts, accountId: AccountId): Promise<number> {
  const totp = await ports.factors.totp(accountId);
  const passkeys = await ports.factors.passkeysOf(accountId);
  return passkeys.length + (totp?.confirmed === true ? 1 : 0);
}

/** Removes the app (`totp`) or a passkey. An operator keeps one factor at least (SEC-25). */
export async function removeFactor(
  ports: AuthPorts,
  account: StoredAccount,
  sessionId: SessionId,
  which: "totp" | { readonly passkeyId: string },
): Promise<Result<SessionId, "not_found" | "second_factor_required">> {
  const { accountId } = account;
  if (account.role !== "user" && (await factorsLeft(ports, accountId)) <= 1) {
    return refuse("second_factor_required", "An operator needs a second factor. Add another before this one goes.");
  }
  const removed =
    which === "totp"
      ? await ports.factors.removeTotp(accountId)
      : await ports.factors.removePasskey(accountId, which.passkeyId);
  if (!removed) return refuse("not_found", "There is no such factor.");
  const isLast = (await factorsLeft(ports, accountId)) === 0;
  if (isLast) await ports.factors.setRecoveryCodes(accountId, []);
  const name = which === "totp" ? "TOTP" : "passkey";
  await ports.mails.enqueue(notice(account, "factor_removed", { factor: name }));
  const factor = isLast ? "password" : await factorOf(ports, sessionId);
  return ok(await replaceSessions(ports, accountId, factor));
}
