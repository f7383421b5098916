import { appendOnlySql, type Migration } from "@codex/db";
import { channels } from "./20261126T0000-channels.ts";
import { channelAuditLog } from "./20261127T0300-audit-log.ts";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const gatewayMigrations: readonly Migration[] = [
  {
    name: "20261123T1300_create_channel",
    up: `
      create table channel (
        id uuid primary key,
        name text not null unique check (char_length(name) between 1 and 64),
        kind text not null check (kind in ('openai', 'demo')),
        base_url text not null,
        sealed_secret text,
        models jsonb not null check (jsonb_typeof(models) = 'object'),
        priority integer not null check (priority between 0 and 1000),
        enabled boolean not null default true,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      );
      create table channel_version (
        singleton boolean primary key default true check (singleton),
        version bigint not null
      );
      insert into channel_version (version) values (1);
    `,
  },
  { name: "20261126T0000_channels", up: channels, additive: true },
  { name: "20261126T0010_channel_act_append_only", up: appendOnlySql("channel_act"), additive: true },
  channelAuditLog,
];
