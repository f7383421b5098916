/**
 * One thing that must hold, as the query that answers what breaks it. A row of the answer is an offender; no row means it holds.
 *
 * `$1` is a time: only what was written since then is looked at, and minus infinity means all of it. A query that has no use
 * for it looks at everything, because it is cheap whatever there is (one row an account, or a partial index).
 */
export interface AuditCheck {
  /** Short and stable: label of the metric, key of the stored result. */
  readonly id: string;
  /** The sentence that holds. */
  readonly says: string;
  readonly sql: string;
  /** `full`: too dear for every minute, or only true of the whole. `incremental`: a cheaper form of a full one. Else both. */
  readonly only?: "full" | "incremental";
}

/**
 * The oldest batch that was written since `$1`. Ids rise in the order of begin, so nothing newer is below it. `offset 0` keeps
 * the planner from walking along the ids, from the first batch there ever was: what is new is found by its time.
 */
export const firstBatch = "(select min(id) from (select id from ingest_batch where created_at >= $1 offset 0) recent)";

/** The same of transfers by command; min(uuid) exists since Postgres 18 only. */
export const firstTransfer =
  "(select id from (select id from transfer where created_at >= $1 and batch_id is null offset 0) recent order by id limit 1)";

/** Archived days are out of the tables; what is said of single records holds for the others. */
export const notArchived = (epoch: string): string =>
  `not exists (select from gateway_epoch g where g.epoch = ${epoch} and g.archived_at is not null)`;

/**
 * Of a row of `usage_row`, as its views say it: the columns themselves, because the names and keys that a view brings along cost
 * many times a sum. Null for a LEASE_CLOSE.
 */
export const costOf = "coalesce(cost_wide, cost)";
export const chargedOf = "coalesce(charged, cost_wide, cost)";
