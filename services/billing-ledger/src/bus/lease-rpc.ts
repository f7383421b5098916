import { rpcHandler, type RpcHandler } from "@codex/bus";
import {
  insufficientBalanceMetadata,
  keyCapMetadata,
  leaseGrant,
  leaseRecover,
  leaseReturn,
  watermarkGet,
} from "@codex/contracts";
import { ok, refuse, toAppError, type Clock, type MicroTokens } from "@codex/kernel";
import { z } from "zod";
import type { LeaseRequest } from "../app/grant-lease.ts";
import type { GrantOutcome, KeyCap, LeaseStore } from "../app/lease-ports.ts";
import type { LedgerStore } from "../app/ports.ts";

export interface LeaseRpcDeps {
  readonly ledger: Pick<LedgerStore, "watermarks">;
  readonly leases: Pick<LeaseStore, "giveBack" | "recover" | "seen" | "positions">;
  readonly clock: Clock;
  readonly grantLease: (request: LeaseRequest, signal: AbortSignal) => Promise<GrantOutcome>;
  readonly onReturned: (freed: MicroTokens) => void;
}

/** What gateways ask billing of leases and of the way of their records. */
export function leaseRpcs(deps: LeaseRpcDeps): readonly RpcHandler[] {
  const signOfLife = throttledSigns(deps);
  return [
    rpcHandler(leaseGrant, async ({ req, signal }) => {
      const { epoch, requestNo, accountId, cap } = req;
      const outcome = await deps.grantLease(
        {
          epoch,
          requestNo,
          accountId,
          minimum: req.minimumMicroTokens,
          want: req.wantMicroTokens,
          cap: cap ? fromBusCap(cap) : null,
        },
        signal,
      );
      return toBusGrant(outcome);
    }),
    rpcHandler(leaseReturn, async ({ req }) => {
      const leases = req.leases.map(({ leaseId, ceilingMicroTokens }) => ({ leaseId, ceiling: ceilingMicroTokens }));
      const freed = await deps.leases.giveBack(req.epoch, req.accountId, leases);
      deps.onReturned(freed);
      return ok({ freedMicroTokens: freed });
    }),
    rpcHandler(leaseRecover, async ({ req }) => {
      try {
        return ok({ leaseId: (await deps.leases.recover(req.epoch, req.requestNo, req.accountId)) ?? null });
      } catch (error) {
        if (toAppError(error).code !== "unknown_epoch") throw error;
        return refuse("unknown_epoch", "This epoch was never opened.");
      }
    }),
    rpcHandler(watermarkGet, async ({ req }) => {
      await signOfLife(req.epoch);
      // In this order: a floor that were younger than its watermark would look like a loss.
      const positions = await deps.leases.positions();
      const watermarks = await deps.ledger.watermarks(req.epoch);
      return ok({
        watermarks: [...watermarks],
        positions: positions.map(({ partition, streamCreated, floor }) => ({
          partition,
          streamCreated: streamCreated.toISOString(),
          floor,
        })),
      });
    }),
  ];
}

function fromBusCap(cap: NonNullable<z.output<typeof leaseGrant.req>["cap"]>): KeyCap {
  const { keyId, dailyMicroTokens, monthlyMicroTokens, totalMicroTokens } = cap;
  return { keyId, daily: dailyMicroTokens, monthly: monthlyMicroTokens, total: totalMicroTokens };
}

function toBusGrant(outcome: GrantOutcome) {
  switch (outcome.outcome) {
    case "granted": {
      const { leaseId, granted, ttlMs, priceGroup } = outcome;
      return ok({ leaseId, grantedMicroTokens: granted, ttlMs, priceGroup });
    }
    case "account_frozen":
      return refuse("account_frozen", "The account is frozen.");
    case "insufficient_balance": {
      const facts = { availableMicroTokens: outcome.available, heldMicroTokens: outcome.held };
      return refuse("insufficient_balance", "The balance is not enough.", z.encode(insufficientBalanceMetadata, facts));
    }
    case "key_cap_reached": {
      const facts = {
        period: outcome.period,
        capMicroTokens: outcome.cap,
        availableMicroTokens: outcome.available,
        heldMicroTokens: outcome.held,
        resetsAt: outcome.resetsAt === null ? null : outcome.resetsAt.toISOString(),
      };
      return refuse("key_cap_reached", "The key's cap is reached.", z.encode(keyCapMetadata, facts));
    }
  }
}

/** A worker asks four times a second, and its epoch's row is written once a minute: most questions need no statement. */
const signEveryMs = 30_000;
const signsMax = 10_000;

function throttledSigns({ leases, clock }: LeaseRpcDeps): (epoch: number) => Promise<void> {
  const seenAtMs = new Map<number, number>();
  return async (epoch) => {
    const nowMs = clock.monotonicMs();
    const before = seenAtMs.get(epoch);
    if (before !== undefined && nowMs - before < signEveryMs) return;
    if (seenAtMs.size >= signsMax) seenAtMs.clear();
    seenAtMs.set(epoch, nowMs);
    await leases.seen(epoch);
  };
}
