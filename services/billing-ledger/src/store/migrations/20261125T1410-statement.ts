/**
 * Where a period begins in the chain of one ledger account. An entry has no time of its own (its transfer has), and an index
 * by time would cost every usage batch a write, so the chain itself is searched: it is numbered and almost sorted by time.
 *
 * Almost, because a transaction's time is that of its begin, and one that began later may have booked first. Any crossing of
 * p_at is a fair cut then, but it must be the same one at every ask: the probes depend on p_at and the chain up to p_at alone,
 * never on how long the chain has grown since (so no p_top in the choice of the probes).
 */
export const statementFunctions = `
-- Entries 1 … answer count as before p_at. p_top: entries there are; anything above counts as not before.
create function statement_cut(p_ledger_account_id uuid, p_top bigint, p_at timestamptz) returns bigint
language plpgsql stable set search_path = billing, pg_temp as $$
declare
  v_low bigint := 0;
  v_high bigint := 1;
  v_probe bigint := 1;
  v_before boolean;
begin
  -- First doubling, then halving between the two. Everything up to v_low is before p_at, v_high is not.
  loop
    v_before := v_probe <= p_top and (
      select t.created_at < p_at from entry e join transfer t on t.id = e.transfer_id
      where e.ledger_account_id = p_ledger_account_id and e.version = v_probe);
    exit when not v_before;
    v_low := v_probe;
    v_probe := v_probe * 2;
  end loop;
  v_high := v_probe;
  while v_high - v_low > 1 loop
    v_probe := (v_low + v_high) / 2;
    v_before := v_probe <= p_top and (
      select t.created_at < p_at from entry e join transfer t on t.id = e.transfer_id
      where e.ledger_account_id = p_ledger_account_id and e.version = v_probe);
    if v_before then v_low := v_probe; else v_high := v_probe; end if;
  end loop;
  return v_low;
end $$;
`;
