/**
 * Signs that an account may be one of many of the same person (SEC-28): no reason to refuse anybody, but none to give a bonus either.
 *
 *   mailbox       where the mail most likely goes to; `mailboxOf` in domain/account.ts is the same rule
 *   mail_signals  what was found when the address became the account's
 *
 * The version before inserts neither: its accounts have no mailbox and no signals.
 */
export const mailSignals = `
alter table account
  add column mailbox text,
  add column mail_signals text[] not null default '{}'
    check (mail_signals <@ array['disposable', 'shared_mailbox']);
update account set mailbox = case
  when substring(email from '@([^@]*)$') in ('gmail.com', 'googlemail.com')
    then replace(regexp_replace(substring(email from '^(.*)@'), '(.)\\+.*$', '\\1'), '.', '') || '@gmail.com'
  else regexp_replace(substring(email from '^(.*)@'), '(.)\\+.*$', '\\1') || '@' || substring(email from '@([^@]*)$') end;
update account set mail_signals = '{shared_mailbox}'
  where mailbox in (select mailbox from account group by mailbox having count(*) > 1);
create index account_mailbox on account (mailbox);
`;
