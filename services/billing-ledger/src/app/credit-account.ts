import { createHash } from "node:crypto";
import { newId, type AccountId, type MicroTokens } from "@codex/kernel";
import { fundingAccountOf } from "../domain/spending-order.ts";
import type { CreditOutcome, LedgerEvents, LedgerStore } from "./ports.ts";

export interface GrantRequest {
  readonly accountId: AccountId;
  readonly bucket: "paid" | "bonus";
  readonly amount: MicroTokens;
  readonly reason: string;
  readonly idempotencyKey: string;
  /** Bonus only: what is left then is taken back. */
  readonly expiresAt?: Date;
}

/** A thousand million tokens: far above any real grant, far below where an int8 balance could overflow by a few of them. */
export const grantMicroTokensMax: MicroTokens = 10n ** 15n;

/**
 * Credits an account once a key. `replayed`: the same command was done before. `conflict`: the key was used for another
 * input, `out_of_bounds`: the amount is not from 1 to {@link grantMicroTokensMax}, or paid money would expire; neither moves
 * anything.
 */
export async function creditAccount(
  deps: { readonly ledger: LedgerStore; readonly events: LedgerEvents },
  request: GrantRequest,
): Promise<CreditOutcome | "out_of_bounds"> {
  if (request.amount <= 0n || request.amount > grantMicroTokensMax) return "out_of_bounds";
  const { expiresAt } = request;
  if (expiresAt && request.bucket !== "bonus") return "out_of_bounds";
  const input = [request.accountId, request.bucket, request.amount.toString(), request.reason];
  // Only where there is one, so that the hashes of commands from before it existed stay what they were.
  if (expiresAt) input.push(expiresAt.toISOString());
  const outcome = await deps.ledger.credit({
    key: `grant:${request.idempotencyKey}`,
    inputHash: createHash("sha256").update(JSON.stringify(input)).digest(),
    transferId: newId("trf"),
    accountId: request.accountId,
    bucket: request.bucket,
    fundedBy: fundingAccountOf(request.bucket),
    amount: request.amount,
    reason: request.reason,
    expiresAt: expiresAt ?? null,
  });
  deps.events.credited(outcome, request.reason);
  return outcome;
}
