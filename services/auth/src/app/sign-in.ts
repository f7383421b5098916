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
  await ports.throttle.check(email, input.clientIp);
  const account = await ports.accounts.findByEmail(email);
  const matches = await ports.hasher.verify(input.password, account?.passwordHash);
  if (!account || !matches) {
    await ports.throttle.failed(email, input.clientIp);
    return refuse("invalid_credentials", "E-mail or password is wrong.");
  }
  await ports.throttle.succeeded(email, input.clientIp);
  if (ports.hasher.needsUpgrade(account.passwordHash)) {
    const upgraded = await ports.hasher.hash(input.password);
    await ports.accounts.setPasswordHash(account.accountId, account.passwordHash, upgraded);
  }
  return ok(account);
}
