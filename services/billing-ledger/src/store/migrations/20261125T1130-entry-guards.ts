/**
 * What no writer can get wrong, were it the owner's own function: the entries of a statement sum to zero, and each continues
 * the chain of its account. By induction the newest balance_after is the sum of all entries, so a balance that somebody
 * edited is refused with the next entry that is booked on it.
 */
export const entryGuards = `
create function check_entries() returns trigger
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_sum numeric;
  v_broken uuid;
begin
  select sum(amount), (array_agg(a.ledger_account_id) filter (where a.balance_after is distinct from a.amount + case a.version
      when 1 then 0
      else (select p.balance_after from entry p where p.ledger_account_id = a.ledger_account_id and p.version = a.version - 1)
    end))[1]
    into v_sum, v_broken from added a;
  if v_sum <> 0 then
    raise exception 'the entries of one statement must balance, and are off by %', v_sum using errcode = 'restrict_violation';
  end if;
  if v_broken is not null then
    raise exception 'an entry of account % does not continue its chain', v_broken using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
create trigger entry_balanced after insert on entry referencing new table as added
  for each statement execute function check_entries();
`;
