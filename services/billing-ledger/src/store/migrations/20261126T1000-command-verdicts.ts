/**
 * What became of each command that came by the bus, for its sender to ask (docs/adr/0016). Not the command's idempotency: that is
 * `money_command`. Verdicts go after 90 days.
 */
export const commandVerdicts = `
create table command_verdict (
  event_id text primary key check (length(event_id) between 1 and 256),
  verdict text not null check (verdict in ('applied', 'refused', 'waiting')),
  at timestamptz not null default now()
);
create index command_verdict_at on command_verdict using brin (at) with (pages_per_range = 32);
`;
