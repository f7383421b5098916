import type { MicroTokens } from "@codex/kernel";
import type { Purse } from "../domain/lease-book.ts";
import type { Grant, GrantAnswer, LenderPorts, Payer, Refusal } from "./lease-ports.ts";

/**
 * Asks billing for leases under numbers that survive. An ask is journaled before it is sent. One whose answer is lost keeps
 * its number: billing may have granted it, so the purse's next ask uses the number again and gets that lease.
 */

export type Asked =
  | { readonly kind: "granted"; readonly grant: Grant; readonly askedAtMs: number }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "frozen" };

interface Lost {
  readonly payer: Payer;
  readonly requestNo: number;
  readonly lostAtMs: number;
}

/** Pause before a lost ask is repeated for its own sake. */
const askAgainMs = 5_000;

export class LeaseAsks {
  private readonly ports: LenderPorts;
  private requestNo = 0;
  private readonly unanswered = new Map<Purse, Lost>();

  constructor(ports: LenderPorts) {
    this.ports = ports;
  }

  isUnanswered(purse: Purse): boolean {
    return this.unanswered.has(purse);
  }

  /** Rejects when billing does not answer or the disk refuses. A granted lease is in the spool. */
  async ask(purse: Purse, payer: Payer, minimum: MicroTokens, want: MicroTokens): Promise<Asked> {
    const askedAtMs = this.ports.clock.monotonicMs();
    const requestNo = this.unanswered.get(purse)?.requestNo ?? this.nextNumber();
    const answer = await this.send(purse, payer, requestNo, minimum, want);
    if (answer.ok) {
      this.journal(answer.value, payer, requestNo);
      return { kind: "granted", grant: answer.value, askedAtMs };
    }
    this.ports.refused(requestNo);
    if (answer.code === "account_frozen") return { kind: "frozen" };
    return { kind: "refused", refusal: answer.refusal ?? { available: 0n, held: 0n } };
  }

  /** A purse whose answer was lost a while ago and that did not come back to ask; the longest lost first. */
  lostSince(
    nowMs: number,
    isBusy: (purse: Purse) => boolean,
  ): { readonly purse: Purse; readonly payer: Payer } | undefined {
    for (const [purse, { payer, lostAtMs }] of this.unanswered) {
      if (nowMs - lostAtMs >= askAgainMs && !isBusy(purse)) return { purse, payer };
    }
    return undefined;
  }

  private nextNumber(): number {
    this.requestNo += 1;
    return this.requestNo;
  }

  private async send(
    purse: Purse,
    payer: Payer,
    requestNo: number,
    minimum: MicroTokens,
    want: MicroTokens,
  ): Promise<GrantAnswer> {
    const { accountId, keyId, caps } = payer;
    this.ports.asked(requestNo, accountId);
    try {
      const cap = caps === null ? null : { keyId, ...caps };
      const answer = await this.ports.grant({ requestNo, accountId, minimum, want, cap });
      this.unanswered.delete(purse);
      return answer;
    } catch (error) {
      // Set anew at the end of the map, so that one purse does not keep the others from being asked after.
      this.unanswered.delete(purse);
      this.unanswered.set(purse, { payer, requestNo, lostAtMs: this.ports.clock.monotonicMs() });
      throw error;
    }
  }

  /** A lease that the disk refuses is given back at once: the closing reaches billing without the disk. */
  private journal({ leaseId }: Grant, { accountId }: Payer, requestNo: number): void {
    try {
      this.ports.leaseGranted(leaseId, accountId, requestNo);
    } catch (error) {
      this.ports.leaseClosed(leaseId, accountId);
      throw error;
    }
  }
}
