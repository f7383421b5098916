/**
 * What moved an account's money besides usage: some entries of an account beside any number of batches. `entry` is written with a
 * batch far more often than without, and such a row does not touch this index. Made beside running batches: the table is long, and
 * a plain index would hold them up.
 */
export const commandEntries = `
create index concurrently if not exists entry_of_command on entry (ledger_account_id) include (amount)
  where batch_id is null`;
