import { rpcHandler, type RpcHandler } from "@codex/bus";
import { balanceGet, epochOpen } from "@codex/contracts";
import { ok } from "@codex/kernel";
import type { LedgerStore } from "../app/ports.ts";
import type { BalanceView } from "../app/read-balance.ts";
import type { AccountId } from "@codex/kernel";

export interface LedgerRpcDeps {
  readonly ledger: Pick<LedgerStore, "openEpoch">;
  readonly readBalance: (accountId: AccountId) => Promise<BalanceView>;
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
    rpcHandler(epochOpen, async ({ req }) => ok({ epoch: await deps.ledger.openEpoch(req.workerId) })),
  ];
}
