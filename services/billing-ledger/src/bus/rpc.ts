import { rpcHandler, type RpcHandler } from "@codex/bus";
import { accountTotalsGet, balanceGet, epochOpen, keySpendGet, usageGet } from "@codex/contracts";
import { ok, refuse, type AccountId, type KeyId } from "@codex/kernel";
import type { LedgerStore, UsageStore } from "../app/ports.ts";
import type { AccountTotals } from "../store/account-totals.ts";
import type { KeySpend } from "../store/key-spend.ts";
import type { BalanceView } from "../app/read-balance.ts";

export interface LedgerRpcDeps {
  readonly ledger: Pick<LedgerStore, "openEpoch">;
  readonly readBalance: (accountId: AccountId) => Promise<BalanceView>;
  readonly usage: Pick<UsageStore, "find">;
  readonly accountTotals: (accountId: AccountId) => Promise<AccountTotals>;
  readonly keySpend: (keyId: KeyId) => Promise<KeySpend>;
}

/** What gateways ask billing of accounts; of leases: lease-rpc.ts. */
export function ledgerRpcs(deps: LedgerRpcDeps): readonly RpcHandler[] {
  return [
    rpcHandler(balanceGet, async ({ req }) => {
      const balance = await deps.readBalance(req.accountId);
      return ok({
        paidMicroTokens: balance.paid,
        bonusMicroTokens: balance.bonus,
        heldMicroTokens: balance.held,
        availableMicroTokens: balance.available,
      });
    }),
    rpcHandler(usageGet, async ({ req }) => {
      const posted = await deps.usage.find(req.accountId, req.requestId);
      if (!posted) return refuse("unknown_request", "There is no such request of this account, or not yet.");
      const { line, priceVersion, postedAt } = posted;
      return ok({ usage: line, priceVersion, postedAt: postedAt.toISOString() });
    }),
    rpcHandler(accountTotalsGet, async ({ req }) => {
      const { credited, spent } = await deps.accountTotals(req.accountId);
      return ok({ creditedMicroTokens: credited, spentMicroTokens: spent });
    }),
    rpcHandler(keySpendGet, async ({ req }) => {
      const { daily, monthly, total } = await deps.keySpend(req.keyId);
      return ok({ dailyMicroTokens: daily, monthlyMicroTokens: monthly, totalMicroTokens: total });
    }),
    rpcHandler(epochOpen, async ({ req }) => ok({ epoch: await deps.ledger.openEpoch(req.workerId) })),
  ];
}
