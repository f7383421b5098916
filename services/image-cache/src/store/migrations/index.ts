import type { Migration } from "@codex/db";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const imageMigrations: readonly Migration[] = [
  {
    name: "20261123T1300_create_asset",
    up: `
      create table asset (
        id uuid primary key,
        account_id uuid not null,
        content_type text not null check (content_type in ('image/png', 'image/jpeg', 'image/webp')),
        bytes bigint not null check (bytes > 0),
        created_at timestamptz not null,
        expires_at timestamptz not null,
        check (expires_at > created_at)
      );
      create index asset_account on asset (account_id, id desc);
      create index asset_expiry on asset (expires_at);
    `,
  },
];
