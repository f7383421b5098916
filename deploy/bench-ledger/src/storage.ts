import type { BenchWorld } from "./world.ts";

export interface Bytes {
  readonly heapAndKey: number;
  readonly receiptIndex: number;
  readonly events: number;
}

/** Bytes an event of the usage table, from the sizes of its parts. */
export async function bytesPerEvent(world: BenchWorld): Promise<Bytes> {
  const { rows } = await world.admin.query<{ kind: string; bytes: string; events: string }>(
    `select case when c.relkind = 'r' then 'heap' when c.relname like '%pkey' then 'key' else 'receipt' end as kind,
       sum(pg_relation_size(c.oid)) as bytes, (select count(*) from usage_row) as events
     from pg_class c where c.relname ~ '^usage_row_[0-9]+' and c.relkind in ('r', 'i') group by 1`,
  );
  const of = (kind: string): number => {
    const row = rows.find((one) => one.kind === kind);
    return row ? Number(row.bytes) / Number(row.events) : 0;
  };
  return { heapAndKey: of("heap") + of("key"), receiptIndex: of("receipt"), events: Number(rows[0]?.events ?? 0) };
}

/** Megabytes with indexes, of every table that has more than one; the largest first. */
export async function tableSizes(world: BenchWorld): Promise<readonly { name: string; mb: number }[]> {
  const { rows } = await world.admin.query<{ name: string; bytes: string }>(
    `select relname as name, pg_total_relation_size(oid) as bytes from pg_class
     where relnamespace = 'billing'::regnamespace and relkind = 'r' and pg_total_relation_size(oid) > 1048576
     order by 2 desc`,
  );
  return rows.map(({ name, bytes }) => ({ name, mb: Number(bytes) / 1_048_576 }));
}

/** Times autovacuum has vacuumed and analyzed each table of ours, since the statistics began. */
export async function autovacuums(world: BenchWorld): Promise<ReadonlyMap<string, number>> {
  const { rows } = await world.admin.query<{ name: string; n: string }>(
    "select relname as name, autovacuum_count + autoanalyze_count as n from pg_stat_user_tables where schemaname = 'billing'",
  );
  return new Map(rows.map(({ name, n }) => [name, Number(n)]));
}
