/**
 * Batches and what usage rows share are kept against the owner as well, as usage rows, transfers and entries are. A day leaves by
 * being detached (docs/adr/0007), never by a delete.
 */
export const usageAppendOnly = `
create trigger ingest_batch_append_only before update or delete or truncate on ingest_batch
  for each statement execute function refuse_change();
create trigger usage_shape_append_only before update or delete or truncate on usage_shape
  for each statement execute function refuse_change();
`;
