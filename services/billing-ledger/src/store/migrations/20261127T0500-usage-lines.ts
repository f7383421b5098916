/**
 * Lines of an account in the order of their ids, newest first, read as far as they are asked for. Left to itself the planner
 * takes all of an account's lines and sorts them, because it takes an account for an average one: a page of a customer with
 * 18,000 lines read all 18,000. And with a table for each of 365 days it plans for longer than it reads; here it plans once a
 * connection.
 */
export const usageLines = `
-- A null p_batch: of any batch.
create function usage_lines(p_account_id uuid, p_from uuid, p_before uuid, p_batch bigint, p_limit integer) returns setof usage_line
language plpgsql stable set search_path = billing, pg_temp
set plan_cache_mode = force_generic_plan set enable_sort = off set enable_bitmapscan = off set enable_seqscan = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_account_no integer := (select account_no from balance where account_id = p_account_id);
begin
  return query
    select * from usage_line where account_no = v_account_no and request_id >= p_from and request_id < p_before
      and (p_batch is null or batch_id = p_batch)
    order by request_id desc limit p_limit;
end $$;
`;
