import { newId, type AccountId, type Clock, type MicroTokens } from "@codex/kernel";
import { lookAtBalance, setThresholds } from "../domain/low-balance.ts";
import type { AlertSettings, AlertStore, Verdict, WatchedAccount } from "./alert-ports.ts";

/** Sets the thresholds as a whole; the same again changes nothing. */
export async function setAlerts(
  store: AlertStore,
  accountId: AccountId,
  wanted: { readonly enabled: boolean; readonly thresholds: readonly MicroTokens[] },
): Promise<AlertSettings> {
  const sorted = wanted.thresholds.toSorted((a, b) => (a < b ? 1 : -1));
  return store.change(accountId, wanted.enabled, (known, balance) => setThresholds(known, sorted, balance));
}

/** Accounts looked at in one transaction. */
const lookAccounts = 500;

/**
 * One round over all accounts with alerts whose balance has changed, outside of the transactions that changed it. Alarms are for
 * what is committed: a balance that fell and rose between two rounds tells nothing. Any number of replicas may run it.
 */
export async function lookForLowBalances(
  deps: { readonly store: AlertStore; readonly clock: Clock; readonly onFired: (count: number) => void },
  signal: AbortSignal,
): Promise<void> {
  let after: AccountId | undefined;
  do {
    let fired = 0;
    after = await deps.store.look(lookAccounts, after, (accounts) => {
      const verdict = judge(accounts, deps.clock.now());
      fired = verdict.fired.length;
      return verdict;
    });
    if (fired > 0) deps.onFired(fired);
  } while (after !== undefined && !signal.aborted);
}

function judge(accounts: readonly WatchedAccount[], firedAt: Date): Verdict {
  const looks = accounts.map((account) => ({ ...account, ...lookAtBalance(account.thresholds, account.balance) }));
  return {
    fired: looks.flatMap(({ accountId, balance, fired }) =>
      fired.map((threshold) => ({ alertId: newId("evt"), accountId, threshold, balance, firedAt })),
    ),
    rearmed: looks.flatMap(({ accountId, rearmed }) => rearmed.map((threshold) => ({ accountId, threshold }))),
  };
}
