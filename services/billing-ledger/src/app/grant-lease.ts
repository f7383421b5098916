import { AppError, newId, type AccountId, type MicroTokens } from "@codex/kernel";
import { setTimeout as delay } from "node:timers/promises";
import { askProblem } from "../domain/lease-size.ts";
import type { GrantAsk, GrantOutcome, KeyCap, LeaseStore } from "./lease-ports.ts";
import type { LedgerEvents } from "./ports.ts";
import type { Recalls } from "./recalls.ts";

export interface LeaseRequest {
  readonly epoch: number;
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimum: MicroTokens;
  readonly want: MicroTokens;
  readonly cap: KeyCap | null;
}

export interface GrantLeaseDeps {
  readonly leases: Pick<LeaseStore, "grant" | "holders">;
  readonly events: Pick<LedgerEvents, "leaseDecided">;
  readonly recalls: Pick<Recalls, "open">;
  readonly leaseTtlMs: number;
}

/** Looks for recalled money after these pauses, 150 ms together. */
const recallPausesMs = [5, 10, 15, 25, 40, 55];
/** Before this pause everybody is asked again: a lease may have been on its way to its worker when the first question came. */
const recallAgainAt = 3;
/**
 * And after these, a second together, for as long as a worker that holds a lease has not answered: a process that starts, or
 * has been stopped for a moment, must not cost a paying customer a refusal. Within `leaseGrant.timeoutMs`.
 */
const silencePausesMs = [100, 150, 250, 500];

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
  if (mayBeHelped(outcome, request.minimum)) outcome = await recallFor(deps, ask, outcome, signal);
  deps.events.leaseDecided(outcome.outcome);
  return outcome;
}

async function recallFor(
  deps: GrantLeaseDeps,
  ask: GrantAsk,
  refusal: GrantOutcome,
  signal: AbortSignal | undefined,
): Promise<GrantOutcome> {
  const { accountId, minimum } = ask;
  const recall = deps.recalls.open(accountId);
  let outcome = refusal;
  // Nobody hears the answer when the signal is aborted: a lease then would only hold money.
  const pause = async (ms: number): Promise<boolean> => {
    await delay(ms);
    if (signal?.aborted === true) return false;
    outcome = await deps.leases.grant(ask);
    return mayBeHelped(outcome, minimum);
  };
  try {
    for (const [at, pauseMs] of recallPausesMs.entries()) {
      if (at === 0 || at === recallAgainAt) recall.askAll();
      if (!(await pause(pauseMs))) return outcome;
    }
    for (const pauseMs of silencePausesMs) {
      const holders = await deps.leases.holders(accountId);
      if (holders.every((epoch) => recall.answered.has(epoch))) return outcome;
      recall.remind();
      if (!(await pause(pauseMs))) return outcome;
    }
    return outcome;
  } finally {
    recall.end();
  }
}

/** Whether the money would be enough if nothing of it were held. */
function mayBeHelped(outcome: GrantOutcome, minimum: MicroTokens): boolean {
  if (outcome.outcome === "granted" || outcome.outcome === "account_frozen") return false;
  return outcome.held > 0n && outcome.available + outcome.held >= minimum;
}
