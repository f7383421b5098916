import { newId, ok, refuse, type Result } from "@codex/kernel";
import { canonicalEmail } from "../domain/account.ts";
import type { AuthPorts, StoredAccount } from "./ports.ts";

export interface Registration {
  readonly email: string;
  readonly password: string;
  readonly name: string | undefined;
}

/** Makes an account of role `user`; nobody can register as anything else. Refuses an address that is taken. */
export async function register(ports: AuthPorts, input: Registration): Promise<Result<StoredAccount, "email_taken">> {
  const account: StoredAccount = {
    accountId: newId("acc"),
    email: canonicalEmail(input.email),
    name: input.name ?? null,
    role: "user",
    passwordHash: await ports.hasher.hash(input.password),
    createdAt: ports.clock.now(),
  };
  const stored = await ports.accounts.create(account);
  return stored ? ok(account) : refuse("email_taken", "An account with this e-mail address exists. Sign in instead.");
}
