import type { PasskeyAssertion, SecondFactorMethod, SecondFactorProof } from "@codex/contracts";
import { ok, refuse, type AccountId, type Result } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { SessionFactor } from "../domain/session-rules.ts";
import type { Attempt, AuthPorts, StoredAccount } from "./ports.ts";
import { linkInvalid } from "./register.ts";
import { verifyPasskey, verifyProof } from "./second-factor.ts";

export type SignedIn =
  | { readonly kind: "signed_in"; readonly account: StoredAccount; readonly factor: SessionFactor }
  | { readonly kind: "second_factor"; readonly ticket: string; readonly methods: readonly SecondFactorMethod[] };

type Refused = "invalid_credentials" | "account_frozen";

/**
 * Checks a password. An unknown address costs the same work and gives the same answer as a wrong password (SEC-15); the
 * throttle comes before the hashing (SEC-14). A hash with older parameters is replaced (SEC-13).
 */
export async function signIn(
  ports: AuthPorts,
  input: Attempt & { readonly password: string },
): Promise<Result<SignedIn, Refused>> {
  const attempt = { ...input, email: canonicalEmail(input.email) };
  await admitted(ports, ports.throttle.admit(attempt));
  const account = await accountOf(ports, attempt, input.password);
  if (!account) {
    await ports.alarm.failed();
    return refuse("invalid_credentials", "E-mail or password is wrong.");
  }
  await ports.throttle.succeeded(attempt);
  return afterPassword(ports, account, input.password);
}

/** What the throttle refuses is a failure too: who meets it at every account is guessing. */
async function admitted(ports: Pick<AuthPorts, "alarm">, admission: Promise<void>): Promise<void> {
  try {
    await admission;
  } catch (error) {
    await ports.alarm.failed();
    throw error;
  }
}

/** The account if the password is its own. When that cannot be found out, the attempt does not count against anybody. */
async function accountOf(ports: AuthPorts, attempt: Attempt, password: string): Promise<StoredAccount | undefined> {
  try {
    const account = await ports.accounts.findByEmail(attempt.email);
    const matches = await ports.hasher.verify(password, account?.passwordHash);
    return matches ? account : undefined;
  } catch (error) {
    await ports.throttle.unjudged(attempt);
    throw error;
  }
}

async function afterPassword(
  ports: AuthPorts,
  account: StoredAccount,
  password: string,
): Promise<Result<SignedIn, "account_frozen">> {
  if (account.blockedAt) return frozen();
  if (ports.hasher.needsUpgrade(account.passwordHash)) {
    const upgraded = await ports.hasher.hash(password);
    await ports.accounts.setPasswordHash(account.accountId, account.passwordHash, upgraded);
  }
  const methods = await methodsOf(ports, account.accountId);
  if (methods.length === 0) return ok({ kind: "signed_in", account, factor: "password" });
  const challenge = { accountId: account.accountId, value: "" };
  return ok({
    kind: "second_factor",
    ticket: await ports.challenges.put("second_factor", challenge, ports.clock.now()),
    methods,
  });
}

function frozen(): ReturnType<typeof refuse<"account_frozen">> {
  return refuse("account_frozen", "The account is blocked. Write to support.");
}

async function methodsOf(ports: AuthPorts, accountId: AccountId): Promise<SecondFactorMethod[]> {
  const totp = await ports.factors.totp(accountId);
  const passkeys = await ports.factors.passkeysOf(accountId);
  const factors: SecondFactorMethod[] = [];
  if (totp?.confirmed === true) factors.push("totp");
  if (passkeys.length > 0) factors.push("passkey");
  if (factors.length > 0) factors.push("recovery_code");
  return factors;
}

/** The second step. Five wrong answers end the ticket, and failures of the account slow down over all tickets (SEC-26). */
export async function finishSignIn(
  ports: AuthPorts,
  ticket: string,
  proof: SecondFactorProof,
): Promise<Result<SignedIn, "sign_in_expired" | "second_factor_wrong" | "account_frozen">> {
  const now = ports.clock.now();
  const challenge = await ports.challenges.find(ticket, "second_factor", now);
  if (challenge?.accountId === undefined) return expired();
  const account = await ports.accounts.findById(challenge.accountId);
  if (!account) return expired();
  await admitted(ports, ports.throttle.admitFactor(account.accountId));
  const factor = await verifyProof(ports, account, proof);
  if (!factor) {
    await ports.alarm.failed();
    await ports.challenges.failed(ticket);
    return refuse("second_factor_wrong", "The second factor is wrong, or was used before.");
  }
  if (!(await ports.challenges.take(ticket, "second_factor", now))) return expired();
  await ports.throttle.factorSucceeded(account.accountId);
  if (account.blockedAt) return frozen();
  return ok({ kind: "signed_in", account, factor });
}

function expired(): ReturnType<typeof refuse<"sign_in_expired">> {
  return refuse("sign_in_expired", "Signing in took too long, or failed too often. Begin again.");
}

/** A passkey alone: it verifies its user, so it is two factors. */
export async function signInByPasskey(
  ports: AuthPorts,
  challengeId: string,
  assertion: PasskeyAssertion,
): Promise<Result<SignedIn, "second_factor_wrong" | "account_frozen">> {
  const accountId = await verifyPasskey(ports, challengeId, assertion);
  const account = accountId && (await ports.accounts.findById(accountId));
  if (!account) {
    await ports.alarm.failed();
    return refuse("second_factor_wrong", "This passkey is not known here.");
  }
  if (account.blockedAt) return frozen();
  return ok({ kind: "signed_in", account, factor: "passkey" });
}

/** After too many failures: the mailbox and the password together. The throttle of the account begins anew (SEC-16). */
export async function signInByLink(
  ports: AuthPorts,
  token: string,
  password: string,
): Promise<Result<SignedIn, Refused | "link_invalid">> {
  const link = await ports.links.find(token, "sign_in", ports.clock.now());
  const account = link && (await ports.accounts.findById(link.accountId));
  if (!account) return linkInvalid();
  if (!(await ports.hasher.verify(password, account.passwordHash))) {
    await ports.links.failed(token);
    await ports.alarm.failed();
    return refuse("invalid_credentials", "The password is wrong.");
  }
  if (!(await ports.links.take(token, "sign_in", ports.clock.now()))) return linkInvalid();
  await ports.throttle.unlock(account.email);
  return afterPassword(ports, account, password);
}
