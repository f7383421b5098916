import type { PasskeyAssertion, SecondFactorProof } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import { randomBytes } from "node:crypto";
import type { SessionFactor } from "../domain/session-rules.ts";
import type { AuthPorts, StoredAccount } from "./ports.ts";

export const recoveryCodesOfAccount = 10;
/** Crockford's letters: none that is read as another. */
const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const codeLetters = 16;

/** "ABCD-EFGH-JKMN-PQRS": 80 random bits each, so that their plain hashes tell nothing. */
export function newRecoveryCodes(): readonly string[] {
  return Array.from({ length: recoveryCodesOfAccount }, () => {
    // 256 is a multiple of 32, so no letter is likelier than another.
    const code = Array.from(randomBytes(codeLetters), (byte) => letters[byte & 31] ?? "").join("");
    return code.replace(/(.{4})(?=.)/g, "$1-");
  });
}

/** As it is stored and compared: capitals without blanks and hyphens; letters that look like digits are those. */
export function canonicalRecoveryCode(text: string): string {
  return text
    .toUpperCase()
    .replaceAll(/[^0-9A-Z]/g, "")
    .replaceAll("O", "0")
    .replaceAll(/[IL]/g, "1");
}

/** By what the proof is good, or undefined. Each code and each assertion is good once, whoever else tries at the same time. */
export async function verifyProof(
  ports: AuthPorts,
  account: StoredAccount,
  proof: SecondFactorProof,
): Promise<SessionFactor | undefined> {
  const { accountId } = account;
  if ("totp" in proof) return (await verifyTotp(ports, accountId, proof.totp, false)) ? "second_factor" : undefined;
  if ("recoveryCode" in proof) {
    return (await useRecoveryCode(ports, account, proof.recoveryCode)) ? "second_factor" : undefined;
  }
  return (await verifyPasskey(ports, proof.challengeId, proof.passkey)) === accountId ? "passkey" : undefined;
}

/** `confirm`: the first code of a secret that is being set up. */
export async function verifyTotp(
  ports: Pick<AuthPorts, "factors" | "totp" | "clock">,
  accountId: AccountId,
  code: string,
  confirm: boolean,
): Promise<boolean> {
  const now = ports.clock.now();
  const stored = await ports.factors.totp(accountId);
  if (!stored || stored.confirmed === confirm) return false;
  const step = ports.totp.stepOf(stored.secret, code, now);
  return step !== undefined && ports.factors.takeTotpStep(accountId, step, confirm, now);
}

async function useRecoveryCode(ports: AuthPorts, account: StoredAccount, code: string): Promise<boolean> {
  const used = await ports.factors.takeRecoveryCode(account.accountId, canonicalRecoveryCode(code));
  if (!used) return false;
  const left = await ports.factors.recoveryCodesLeft(account.accountId);
  const { email, language } = account;
  await ports.mails.enqueue({ kind: "recovery_code_used", email, language, data: { left: String(left) } });
  return true;
}

/** The account of the passkey; the challenge is used up whatever comes out. */
export async function verifyPasskey(
  ports: Pick<AuthPorts, "challenges" | "factors" | "passkeys" | "clock">,
  challengeId: string,
  assertion: PasskeyAssertion,
): Promise<AccountId | undefined> {
  const now = ports.clock.now();
  const challenge = await ports.challenges.take(challengeId, "passkey", now);
  const passkey = challenge && (await ports.factors.passkey(assertion.id));
  if (!challenge || !passkey) return undefined;
  const counter = await ports.passkeys.verifyAssertion(assertion, challenge.value, passkey);
  if (counter === undefined) return undefined;
  await ports.factors.usedPasskey(passkey.credentialId, counter, now);
  return passkey.accountId;
}
