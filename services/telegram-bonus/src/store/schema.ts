import type { Generated } from "kysely";

/** Columns of `bonus.referral_code`. One a account, for ever (SEC-64). */
export interface ReferralCodeTable {
  readonly account_id: string;
  readonly code: string;
  readonly created_at: Generated<Date>;
}

export interface BonusTables {
  referral_code: ReferralCodeTable;
}

export const bonusSchema = "bonus";
