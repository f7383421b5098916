/**
 * Keys of signed receipts. The public half of each stays for ever, so that every receipt ever signed can be verified; the
 * private half is sealed, exists for one key at a time, and is deleted when the key retires.
 */
export const receiptKeys = `
create table receipt_key (
  kid text primary key check (length(kid) = 43),
  public_x text not null check (length(public_x) = 43),
  sealed_private text,
  created_at timestamptz not null default clock_timestamp(),
  retired_at timestamptz,
  check ((sealed_private is null) = (retired_at is not null))
);
create unique index receipt_key_signing on receipt_key ((true)) where sealed_private is not null;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke update, delete, truncate on table receipt_key from %I', v_role);
  execute format('grant update (sealed_private, retired_at) on table receipt_key to %I', v_role);
end $$;
`;
