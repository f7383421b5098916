import { usagePartitionOf, usagePartitions, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import { uuidToId, type AccountId, type LeaseId, type RequestId } from "@codex/kernel";
import type { Random } from "./random.ts";

/**
 * What billing must do, written a second time and in memory: grants, settling, the fence, watermarks, recall, recovery,
 * reclaim. Not a line is shared with apply_batch or grant_lease; docs/adr/0003 and 0008 are what both are made from.
 */

interface Account {
  credited: bigint;
  charged: bigint;
  reserved: bigint;
}

export interface ModelLease {
  readonly id: LeaseId;
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly partition: number;
  granted: bigint;
  settled: bigint;
  workerSettled: bigint | undefined;
  closeSeq: number | undefined;
  state: "open" | "closing" | "closed" | "reclaimed";
  readonly expiresAtMs: number;
}

export interface Booked {
  times: number;
  charged: bigint;
  readonly record: UsageRecord;
}

export type GrantOutcome =
  | { readonly granted: true; readonly lease: ModelLease }
  | { readonly granted: false; readonly available: bigint; readonly held: bigint };

/** Ways to be wrong, to see that the simulation notices. */
export type Defect = "none" | "free-at-expiry" | "close-without-fence" | "no-dedupe";

export const ttlMs = 60_000;

export class BillingModel {
  readonly accounts = new Map<AccountId, Account>();
  readonly leases = new Map<LeaseId, ModelLease>();
  readonly booked = new Map<RequestId, Booked>();
  readonly contiguous = new Map<string, number>();
  readonly conflicts: string[] = [];
  /** Requests that were booked since somebody looked. */
  readonly fresh = new Set<RequestId>();
  writtenOff = 0n;
  private readonly random: Random;
  private readonly defect: Defect;
  private readonly asks = new Map<string, ModelLease>();
  private readonly records = new Map<string, string>();
  private epochs = 20_000_000_000;

  constructor(random: Random, defect: Defect) {
    this.random = random;
    this.defect = defect;
  }

  credit(accountId: AccountId, amount: bigint): void {
    const account = this.accounts.get(accountId) ?? { credited: 0n, charged: 0n, reserved: 0n };
    account.credited += amount;
    this.accounts.set(accountId, account);
  }

  available(accountId: AccountId): bigint {
    const account = this.account(accountId);
    return account.credited - account.charged - account.reserved;
  }

  openEpoch(): number {
    return (this.epochs += 1);
  }

  grant(ask: {
    readonly epoch: number;
    readonly requestNo: number;
    readonly accountId: AccountId;
    readonly minimum: bigint;
    readonly want: bigint;
    readonly nowMs: number;
  }): GrantOutcome {
    const known = this.asks.get(askName(ask.epoch, ask.requestNo));
    if (known) return { granted: true, lease: known };
    const { accountId, epoch, minimum, want } = ask;
    const available = this.available(accountId);
    if (available < minimum) return { granted: false, available, held: this.account(accountId).reserved };
    const others = new Set<number>();
    for (const lease of this.leases.values()) {
      if (lease.accountId === accountId && isLive(lease) && lease.epoch !== epoch) others.add(lease.epoch);
    }
    const share = available / BigInt(2 * (others.size + 1));
    const fair = want < share ? want : share;
    const granted = fair > minimum ? fair : minimum;
    const lease = this.newLease(ask.accountId, epoch, granted, ask.nowMs);
    this.asks.set(askName(epoch, ask.requestNo), lease);
    this.account(accountId).reserved += granted;
    return { granted: true, lease };
  }

  lower(epoch: number, accountId: AccountId, ceilings: readonly { leaseId: LeaseId; ceiling: bigint }[]): bigint {
    let freed = 0n;
    for (const { leaseId, ceiling } of ceilings) {
      const lease = this.leases.get(leaseId);
      if (lease?.epoch !== epoch || lease.accountId !== accountId || !isLive(lease)) continue;
      const floor = ceiling > lease.settled ? ceiling : lease.settled;
      if (floor >= lease.granted) continue;
      freed += lease.granted - floor;
      lease.granted = floor;
    }
    this.account(accountId).reserved -= freed;
    return freed;
  }

  recover(epoch: number, requestNo: number, accountId: AccountId): LeaseId | undefined {
    const known = this.asks.get(askName(epoch, requestNo));
    if (known) return known.closeSeq === 0 ? undefined : known.id;
    const burnt = this.newLease(accountId, epoch, 0n, 0);
    Object.assign(burnt, { state: "closed", closeSeq: 0, workerSettled: 0n });
    this.asks.set(askName(epoch, requestNo), burnt);
    return undefined;
  }

  reclaim(epoch: number): void {
    for (const lease of this.leases.values()) {
      if (lease.epoch === epoch && isLive(lease)) this.free(lease, "reclaimed");
    }
  }

  /** One transaction. */
  apply(epoch: number, partition: number, records: readonly SpoolRecord[], nowMs: number): void {
    for (const record of records) {
      const name = `${String(epoch)}/${String(partition)}/${String(record.seq)}`;
      const text = canonical(record);
      const known = this.records.get(name);
      if (known !== undefined && known !== text) this.conflicts.push(name);
      if (known !== undefined && (this.defect !== "no-dedupe" || known !== text)) continue;
      this.records.set(name, text);
      if (record.type === "usage") this.settle(record);
      else this.closing(epoch, partition, record);
    }
    this.advance(epoch, partition);
    for (const lease of this.leases.values()) {
      const fenced = this.defect === "close-without-fence" || (lease.closeSeq ?? 0) <= this.mark(epoch, partition);
      if (lease.epoch === epoch && lease.partition === partition && lease.state === "closing" && fenced) {
        this.free(lease, "closed");
      }
      if (this.defect === "free-at-expiry" && lease.state === "open" && lease.expiresAtMs <= nowMs) {
        this.free(lease, "closed");
      }
    }
  }

  mark(epoch: number, partition: number): number {
    return this.contiguous.get(`${String(epoch)}/${String(partition)}`) ?? 0;
  }

  marks(epoch: number): { readonly partition: number; readonly contiguous: number }[] {
    return Array.from({ length: usagePartitions }, (_, partition) => ({
      partition,
      contiguous: this.mark(epoch, partition),
    })).filter(({ contiguous }) => contiguous > 0);
  }

  /** Records above a hole, which no watermark covers. */
  beyondHoles(): string[] {
    return [...this.records.keys()].filter((name) => {
      const [epoch, partition, seq] = name.split("/").map(Number);
      return (seq ?? 0) > this.mark(epoch ?? 0, partition ?? 0);
    });
  }

  private account(accountId: AccountId): Account {
    const account = this.accounts.get(accountId);
    if (!account) throw new Error("an account that nobody made");
    return account;
  }

  private newLease(accountId: AccountId, epoch: number, granted: bigint, nowMs: number): ModelLease {
    const lease: ModelLease = {
      id: uuidToId("lse", this.random.uuid()),
      accountId,
      epoch,
      partition: usagePartitionOf(accountId),
      granted,
      settled: 0n,
      workerSettled: undefined,
      closeSeq: undefined,
      state: "open",
      expiresAtMs: nowMs + ttlMs,
    };
    this.leases.set(lease.id, lease);
    return lease;
  }

  private settle(record: UsageRecord): void {
    const lease = this.leases.get(record.leaseId);
    const pays = lease?.accountId === record.accountId && isLive(lease);
    const rest = pays ? lease.granted - lease.settled : 0n;
    const take = record.costMicroTokens < rest ? record.costMicroTokens : rest;
    this.writtenOff += record.costMicroTokens - take;
    if (pays) {
      lease.settled += take;
      const account = this.account(record.accountId);
      account.charged += take;
      account.reserved -= take;
    }
    this.fresh.add(record.requestId);
    const before = this.booked.get(record.requestId);
    this.booked.set(record.requestId, {
      times: (before?.times ?? 0) + 1,
      charged: (before?.charged ?? 0n) + take,
      record,
    });
  }

  private closing(epoch: number, partition: number, record: Extract<SpoolRecord, { type: "lease_close" }>): void {
    const lease = this.leases.get(record.leaseId);
    if (lease?.state !== "open" || lease.epoch !== epoch || lease.partition !== partition) return;
    lease.state = "closing";
    lease.closeSeq = record.seq;
    lease.workerSettled = record.settledMicroTokens;
  }

  private free(lease: ModelLease, state: "closed" | "reclaimed"): void {
    lease.state = state;
    this.account(lease.accountId).reserved -= lease.granted - lease.settled;
  }

  private advance(epoch: number, partition: number): void {
    const prefix = `${String(epoch)}/${String(partition)}`;
    let mark = this.mark(epoch, partition);
    while (this.records.has(`${prefix}/${String(mark + 1)}`)) mark += 1;
    this.contiguous.set(prefix, mark);
  }
}

/** The order of the fields says nothing. */
function canonical(record: SpoolRecord): string {
  const fields = Object.entries(record).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify(fields, (_key, value: unknown) => (typeof value === "bigint" ? `${String(value)}n` : value));
}

export function isLive(lease: ModelLease): boolean {
  return lease.state === "open" || lease.state === "closing";
}

function askName(epoch: number, requestNo: number): string {
  return `${String(epoch)}/${String(requestNo)}`;
}
