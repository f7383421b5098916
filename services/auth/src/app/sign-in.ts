import { ok, refuse, type Result } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { AuthPorts, StoredAccount } from "./ports.ts";

/**
 * Checks a password. An unknown address costs the same work and gives the same answer as a wrong password (SEC-15); the
 * throttle comes before the hashing (SEC-14). A hash with older parameters is replaced (SEC-13).
 */
export async function signIn(
  ports: AuthPorts,
  input: { readonly email: string; readonly password: string; readonly clientIp: string },
): Promise<Result<StoredAccount, "invalid_credentials">> {
  const email = canonicalEmail(input.email);
  await ports.throttle.admit(email, input.clientIp);
  const account = await accountOf(ports, email, input);
  if (!account) return refuse("invalid_credentials", "E-mail or password is wrong.");
  await ports.throttle.succeeded(email, input.clientIp);
  if (ports.hasher.needsUpgrade(account.passwordHash)) {
    const upgraded = await ports.hasher.hash(input.password);
    await ports.accounts.setPasswordHash(account.accountId, account.passwordHash, upgraded);
  }
  return ok(account);
}

/** The account if the password is its own. When that cannot be found out, the attempt does not count against anybody. */
async function accountOf(
  ports: AuthPorts,
  email: string,
  { password, clientIp }: { readonly password: string; readonly clientIp: string },
): Promise<StoredAccount | undefined> {
  try {
    const account = await ports.accounts.findByEmail(email);
    const matches = await ports.hasher.verify(password, account?.passwordHash);
    return matches ? account : undefined;
  } catch (error) {
    await ports.throttle.unjudged(email, clientIp);
    throw error;
  }
}
