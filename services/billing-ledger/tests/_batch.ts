import type pg from "pg";

/** A record as columns; ids as uuids. Without request_id it is a LEASE_CLOSE. */
export interface RowRecord {
  readonly epoch: string;
  readonly seq: number;
  readonly account_id: string;
  readonly lease_id: string;
  readonly request_id?: string;
  readonly key_id?: string;
  readonly price_version?: string;
  readonly cost?: number;
  readonly lease_settled?: number;
}

/** Books records of one partition as SQL alone, for tests that have no service. Hold is the cost; one input and one output token. */
export async function bookRows(
  client: Pick<pg.Client, "query">,
  partition: number,
  rows: readonly RowRecord[],
): Promise<void> {
  const each = <T>(pick: (row: RowRecord) => T): T[] => rows.map(pick);
  const shape = (row: RowRecord) => [
    row.price_version ?? "00000000-0000-7000-8000-000000000009",
    ...["/v1/chat/completions", "m", "c", "ok", 200, null, false, false, false, "default", null],
  ];
  const zeros = rows.map(() => 0);
  const nulls = rows.map(() => null);
  const costs = each((row) => row.cost ?? null);
  const ones = each((row) => (row.request_id === undefined ? 0 : 1));
  const [epochs, accounts, leases, keys] = [
    listOf(each((row) => row.epoch)),
    listOf(each((row) => row.account_id)),
    listOf(each((row) => row.lease_id)),
    listOf(each((row) => row.key_id ?? "00000000-0000-7000-8000-000000000001")),
  ];
  const shapes = listOf(each((row) => JSON.stringify(shape(row))));
  await client.query(
    `select apply_batch($1::smallint, $2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::jsonb, $7::integer[], $8::bigint[],
       $8::integer[], $9::uuid[], $15::integer[], $16::integer[], $17::integer[], $18::integer[], $10::bigint[], $10, $11::bigint[], $12::bigint[], $12::integer[], $13::integer[],
       $14::integer[], $14, $12::integer[], $12::integer[], $12::integer[], $12::integer[], $13::integer[], $12::integer[],
       '[]'::json, 1, 1, null, null)`,
    [
      partition,
      epochs.values,
      accounts.values,
      leases.values,
      keys.values,
      `[${shapes.values.join(",")}]`,
      epochs.places,
      each((row) => row.seq),
      each((row) => row.request_id ?? null),
      costs,
      each((row) => row.lease_settled ?? null),
      zeros,
      nulls,
      ones,
      accounts.places,
      leases.places,
      keys.places,
      shapes.places,
    ],
  );
}

/** Each value once, and where each record finds its own, from 1. */
function listOf(all: readonly string[]): { values: string[]; places: number[] } {
  const values = [...new Set(all)];
  return { values, places: all.map((value) => values.indexOf(value) + 1) };
}
