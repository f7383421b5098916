import { ok, refuse, type Result } from "@codex/kernel";
import { wordsAbout } from "../domain/account.ts";
import type { AuthPorts } from "./ports.ts";

/** Guesses, as log10, that a password must be worth: zxcvbn's "safely unguessable" where hashing is slow. */
const strengthMin = 8;

export type PasswordRefusal = "password_too_short" | "password_too_common";

/**
 * Length and strength, with the parts of the address and the name as words to guess by (SEC-11, SEC-12). The same at
 * registration, change and reset; no rules about classes of characters.
 */
export async function checkNewPassword(
  ports: Pick<AuthPorts, "hasher" | "rules" | "breached">,
  password: string,
  about: { readonly email: string; readonly name: string | null | undefined },
): Promise<Result<undefined, PasswordRefusal>> {
  const least = ports.rules.passwordCharactersMin;
  if (Array.from(password).length < least) {
    return refuse("password_too_short", `use at least ${String(least)} characters`);
  }
  const strength = await ports.hasher.strength(password, wordsAbout(about.email, about.name));
  if (strength < strengthMin || (await ports.breached.has(password))) {
    return refuse(
      "password_too_common",
      "This password is among those that attackers try first. Choose another: several unrelated words are good.",
    );
  }
  return ok(undefined);
}
