import { AppError, newId, type AccountId, type MicroTokens } from "@codex/kernel";
import { askProblem } from "../domain/lease-size.ts";
import type { GrantOutcome, LedgerEvents, LedgerStore } from "./ports.ts";

export interface LeaseRequest {
  readonly epoch: number;
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimum: MicroTokens;
  readonly want: MicroTokens;
}

/** Reserves part of the balance for one worker; refusals are answers. Throws `invalid_request` for bounds that make no sense. */
export async function grantLease(
  deps: { readonly ledger: LedgerStore; readonly events: LedgerEvents; readonly leaseTtlMs: number },
  request: LeaseRequest,
): Promise<GrantOutcome> {
  const problem = askProblem(request);
  if (problem !== undefined) {
    throw new AppError({
      kind: "invalid",
      code: "invalid_request",
      publicMessage: `The lease's bounds are wrong: ${problem}.`,
    });
  }
  const outcome = await deps.ledger.grantLease({ ...request, leaseId: newId("lse"), ttlMs: deps.leaseTtlMs });
  deps.events.leaseDecided(outcome.outcome);
  return outcome;
}
