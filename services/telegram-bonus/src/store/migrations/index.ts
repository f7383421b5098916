import type { Migration } from "@codex/db";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const bonusMigrations: readonly Migration[] = [
  {
    name: "20261123T1300_create_referral_code",
    up: `
      create table referral_code (
        account_id uuid primary key,
        code text not null unique check (code ~ '^[0-9A-HJKMNP-TV-Z]{10}$'),
        created_at timestamptz not null default now()
      );
    `,
  },
];
