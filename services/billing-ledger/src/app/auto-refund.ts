import { createHash } from "node:crypto";
import type { AccountId, RequestId } from "@codex/kernel";
import { refundRuleOf, type BookedLine, type RefundRule, type RefundRules } from "../domain/auto-refund.ts";
import { outcomeName } from "./command.ts";
import type { OperationsStore } from "./operations-ports.ts";

/** A stretch of one spool's numbers, all of them booked: `after` < seq ≤ `upTo`. */
export interface ScanRange {
  readonly epoch: bigint;
  readonly partition: number;
  readonly after: bigint;
  readonly upTo: bigint;
}

export interface ScannedLine extends BookedLine {
  readonly accountId: AccountId;
  readonly requestId: RequestId;
}

/** Where the search for refunds stands, for every spool and partition. */
export interface RefundScanStore {
  /** At most so many stretches that nobody else looks at for a while; none when everything booked was looked at. */
  claim(most: number): Promise<readonly ScanRange[]>;
  /** Lines of the stretch that some rule might give back; the domain decides. */
  candidates(range: ScanRange): Promise<readonly ScannedLine[]>;
  /** The stretch is done. */
  advance(range: ScanRange): Promise<void>;
}

export interface AutoRefundEvents {
  autoRefunded(rule: RefundRule, outcome: string): void;
}

/** Stretches that are claimed together: one of each partition. */
const claimMax = 16;
/** Claims of one round; the next round goes on where this one ends. */
const claimsMax = 4;

/**
 * Gives back what the rules say of newly booked usage. Exactly once a request: the command's key is the request. A crash
 * before {@link RefundScanStore.advance} repeats the stretch, and every refund in it is a replay. Each refund is a short
 * transaction of its own, so a batch never waits for more than one of them.
 */
export async function refundByRule(
  deps: {
    readonly scan: RefundScanStore;
    readonly operations: Pick<OperationsStore, "autoRefund">;
    readonly events: AutoRefundEvents;
    readonly rules: RefundRules;
  },
  signal: AbortSignal,
): Promise<void> {
  const goesOn = (): boolean => !signal.aborted;
  for (let claims = 0; claims < claimsMax && goesOn(); claims += 1) {
    const ranges = await deps.scan.claim(claimMax);
    if (ranges.length === 0) return;
    for (const range of ranges) {
      if (goesOn()) await refundIn(deps, range);
    }
  }
}

async function refundIn(deps: Parameters<typeof refundByRule>[0], range: ScanRange): Promise<void> {
  for (const line of await deps.scan.candidates(range)) {
    const rule = refundRuleOf(line, deps.rules);
    if (rule === undefined) continue;
    // The rule is no part of the input: settings may change between two attempts, the refund stays the same.
    const command = {
      key: `auto_refund:${line.requestId}`,
      inputHash: createHash("sha256")
        .update(JSON.stringify([line.accountId, line.requestId]))
        .digest(),
    };
    const outcome = await deps.operations.autoRefund(command, line.accountId, line.requestId, rule);
    // exceeds_charge: an operator was faster, and nothing is left.
    deps.events.autoRefunded(rule, outcomeName(outcome));
  }
  await deps.scan.advance(range);
}
