/**
 * Leases that were closed since the last audit, which looked at every lease there ever was, each minute. Some bytes for 32 pages;
 * made beside running batches.
 */
export const leaseClosed = `
create index concurrently if not exists lease_closed on lease using brin (closed_at)
  with (pages_per_range = 32, autosummarize = on)`;
