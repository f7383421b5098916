import { rpcHandler, type RpcHandler } from "@codex/bus";
import { balanceGet, epochOpen, insufficientBalanceMetadata, leaseGrant, watermarkGet } from "@codex/contracts";
import { ok, refuse } from "@codex/kernel";
import { z } from "zod";
import type { LeaseRequest } from "../app/grant-lease.ts";
import type { GrantOutcome, LedgerStore } from "../app/ports.ts";
import type { BalanceView } from "../app/read-balance.ts";
import type { AccountId } from "@codex/kernel";

export interface LedgerRpcDeps {
  readonly ledger: Pick<LedgerStore, "openEpoch" | "watermarks">;
  readonly readBalance: (accountId: AccountId) => Promise<BalanceView>;
  readonly grantLease: (request: LeaseRequest) => Promise<GrantOutcome>;
}

/** What gateways ask billing. */
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
    rpcHandler(leaseGrant, async ({ req }) => {
      const outcome = await deps.grantLease({
        epoch: req.epoch,
        requestNo: req.requestNo,
        accountId: req.accountId,
        minimum: req.minimumMicroTokens,
        want: req.wantMicroTokens,
      });
      if (outcome.outcome === "granted") {
        return ok({ leaseId: outcome.leaseId, grantedMicroTokens: outcome.granted, ttlMs: outcome.ttlMs });
      }
      if (outcome.outcome === "account_frozen") return refuse("account_frozen", "The account is frozen.");
      const facts = { availableMicroTokens: outcome.available, heldMicroTokens: outcome.held };
      return refuse("insufficient_balance", "The balance is not enough.", z.encode(insufficientBalanceMetadata, facts));
    }),
    rpcHandler(epochOpen, async ({ req }) => ok({ epoch: await deps.ledger.openEpoch(req.workerId) })),
    rpcHandler(watermarkGet, async ({ req }) => ok({ watermarks: [...(await deps.ledger.watermarks(req.epoch))] })),
  ];
}
