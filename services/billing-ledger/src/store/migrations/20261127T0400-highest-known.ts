import { batchParts } from "./20261125T1115-batch-parts.ts";
import { applyBatchAlone } from "./20261126T1100-apply-batch-alone.ts";
import { changed, functionIn } from "./changed.ts";

/**
 * A batch reads no table of usage any more to see that its numbers are new. Each day has a table, and a statement that may meet
 * any of them opens and locks all: with a year of days a batch of 20 records took 3.5 times the CPU it took with two. The
 * watermark says the same: above the larger of `contiguous` and `highest` nothing is known. `highest` is set where numbers
 * come out of order, so in nearly every stream it stays behind `contiguous`. Where tables must be read, they are within the
 * bounds of the batch's own streams, so that the others are left alone.
 */

const applyBatchByHighest = changed(applyBatchAlone, [
  ["create function apply_batch(", "create or replace function apply_batch("],
  [
    "  v_streams bigint[];\n",
    `  v_streams bigint[];
  -- Of all streams of the batch, where the tables of usage have to be read.
  v_low bigint; v_high bigint;
`,
  ],
  [
    "left join lateral (select true as known from usage_row where stream = f.stream and seq >= f.first limit 1) u on true",
    "left join gateway_cursor c on c.epoch = f.stream >> 4 and c.partition = (f.stream & 15)::smallint",
  ],
  [
    "where g.open is null or u.known or q.known",
    "where g.open is null or f.first <= greatest(c.contiguous, c.highest) or q.known",
  ],
  [
    "    select coalesce(array_agg(n.place order by n.place) filter (where n.fresh), '{}'),",
    `    select min(s), max(s) into v_low, v_high from unnest(p_streams) as known(s);
    select coalesce(array_agg(n.place order by n.place) filter (where n.fresh), '{}'),`,
  ],
  [
    "from usage_row u where u.stream = p_streams[r.stream] and u.seq = r.seq) u on true",
    `from usage_row u
          where u.stream = p_streams[r.stream] and u.seq = r.seq and u.stream between v_low and v_high) u on true`,
  ],
  [
    "and not exists (select from usage_row u where u.stream = f.stream and u.seq = f.last + 1)",
    "and c.highest <= c.contiguous",
  ],
  [
    "  if v_written_off > 0 then\n",
    "  if v_written_off > 0 then\n    select min(s), max(s) into v_low, v_high from unnest(p_streams) as known(s);\n",
  ],
  [
    "where e.stream = x.stream and e.seq = x.seq and x.charged < x.cost;",
    "where e.stream = x.stream and e.seq = x.seq and x.charged < x.cost and e.stream between v_low and v_high;",
  ],
]);

const advanceCursorToHighest = changed(functionIn(batchParts, "advance_cursor"), [
  ["create function advance_cursor(", "create or replace function advance_cursor("],
  ["  v_step bigint;\n", "  v_step bigint;\n  v_highest bigint;\n"],
  [
    `  if v_to > v_from then
    update gateway_cursor set contiguous = v_to, updated_at = now() where epoch = p_epoch and partition = p_partition;
  end if;`,
    `  select coalesce(max(seq), 0) into v_highest from usage_row where stream = v_stream;
  update gateway_cursor set contiguous = v_to, highest = v_highest, updated_at = now()
    where epoch = p_epoch and partition = p_partition and (contiguous, highest) is distinct from (v_to, v_highest);`,
  ],
]);

export const highestKnown = `
-- Batches that are under way have moved their watermarks, or will do it by the function below.
lock table gateway_cursor in access exclusive mode;
alter table gateway_cursor add column highest bigint not null default 0;
update gateway_cursor c set highest = h.seq
  from gateway_cursor g, lateral (
    select seq from usage_row where stream = g.epoch * 16 + g.partition order by seq desc limit 1
  ) h
  where c.epoch = g.epoch and c.partition = g.partition and h.seq > g.contiguous;

-- It keeps the highest number of a record that is booked.
${advanceCursorToHighest}

${applyBatchByHighest}`;
