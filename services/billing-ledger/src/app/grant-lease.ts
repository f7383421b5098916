import { AppError, newId, type AccountId, type MicroTokens } from "@codex/kernel";
import { setTimeout as delay } from "node:timers/promises";
import { askProblem } from "../domain/lease-size.ts";
import type { GrantAsk, GrantOutcome, KeyCap, LeaseStore } from "./lease-ports.ts";
import type { LedgerEvents } from "./ports.ts";

export interface LeaseRequest {
  readonly epoch: number;
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimum: MicroTokens;
  readonly want: MicroTokens;
  readonly cap: KeyCap | null;
}

export interface GrantLeaseDeps {
  readonly leases: Pick<LeaseStore, "grant">;
  readonly events: Pick<LedgerEvents, "leaseDecided">;
  /** Tells every worker to give back what it does not use of the account; may be lost. */
  readonly recall: (accountId: AccountId) => void;
  readonly leaseTtlMs: number;
}

/** Looks for recalled money after these pauses: 150 ms together, the longest that a refusal takes. */
const recallPausesMs = [5, 10, 15, 25, 40, 55];
/** Before this pause the recall is repeated: a lease may have been on its way to its worker when the first one came. */
const recallAgainAt = 3;

/**
 * Reserves part of the balance for one worker; refusals are answers. Before a refusal for want of money that others hold,
 * they are asked to return what is idle. Throws `invalid_request` for bounds that make no sense.
 */
export async function grantLease(
  deps: GrantLeaseDeps,
  request: LeaseRequest,
  signal?: AbortSignal,
): Promise<GrantOutcome> {
  const problem = askProblem(request);
  if (problem !== undefined) {
    throw new AppError({
      kind: "invalid",
      code: "invalid_request",
      publicMessage: `The lease's bounds are wrong: ${problem}.`,
    });
  }
  const ask: GrantAsk = { ...request, leaseId: newId("lse"), ttlMs: deps.leaseTtlMs };
  let outcome = await deps.leases.grant(ask);
  if (mayBeHelped(outcome, request.minimum)) {
    deps.recall(request.accountId);
    for (const [at, pauseMs] of recallPausesMs.entries()) {
      if (at === recallAgainAt) deps.recall(request.accountId);
      await delay(pauseMs);
      // Nobody hears the answer any more: a lease now would only hold money.
      if (signal?.aborted === true) break;
      outcome = await deps.leases.grant(ask);
      if (!mayBeHelped(outcome, request.minimum)) break;
    }
  }
  deps.events.leaseDecided(outcome.outcome);
  return outcome;
}

/** Whether the money would be enough if nothing of it were held. */
function mayBeHelped(outcome: GrantOutcome, minimum: MicroTokens): boolean {
  if (outcome.outcome === "granted" || outcome.outcome === "account_frozen") return false;
  return outcome.held > 0n && outcome.available + outcome.held >= minimum;
}
