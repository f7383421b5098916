import type { AccountId } from "@codex/kernel";
import { randomBytes } from "node:crypto";
import { referralCodeBytes, referralCodeOf } from "../domain/referral-code.ts";
import type { ReferralCode, ReferralStore } from "./ports.ts";

const attemptsMax = 5;

/** The account's code, made on first ask and the same ever after, also when two ask at once. */
export async function referralCode(store: ReferralStore, accountId: AccountId): Promise<ReferralCode> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const code = await store.claim(accountId, referralCodeOf(randomBytes(referralCodeBytes)));
    if (code) return code;
  }
  throw new Error("no free referral code found");
}
