import { defaultPriceGroup, usagePartitionOf, usagePartitions, type SpoolRecord } from "@codex/contracts";
import { newId, type AccountId, type KeyId, type LeaseId } from "@codex/kernel";

/** The traffic of the bench: 20,000 accounts by Zipf's law, and one hot account beside them. */

export interface BenchAccount {
  readonly accountId: AccountId;
  readonly leaseId: LeaseId;
  readonly keyId: KeyId;
  readonly partition: number;
}

export const accountsMax = 20_000;
const hotShare = 0.3;

export function makeAccounts(count: number): BenchAccount[] {
  return Array.from({ length: count }, () => {
    const accountId = newId("acc");
    return { accountId, leaseId: newId("lse"), keyId: newId("key"), partition: usagePartitionOf(accountId) };
  });
}

/** Chooses accounts: the first is the hot one, the others have the weight 1 / rank. */
export class Traffic {
  private readonly accounts: readonly BenchAccount[];
  private readonly upTo: Float64Array;
  private readonly hot: number;

  constructor(accounts: readonly BenchAccount[], hot = hotShare) {
    this.accounts = accounts;
    this.hot = hot;
    this.upTo = new Float64Array(accounts.length);
    let sum = 0;
    for (let rank = 1; rank < accounts.length; rank += 1) {
      sum += 1 / rank;
      this.upTo[rank] = sum;
    }
  }

  next(): BenchAccount {
    const [hottest] = this.accounts;
    if (!hottest) throw new Error("no accounts");
    if (this.accounts.length === 1 || Math.random() < this.hot) return hottest;
    const point = Math.random() * (this.upTo.at(-1) ?? 0);
    let [low, high] = [1, this.accounts.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.upTo[middle] ?? 0) < point) low = middle + 1;
      else high = middle;
    }
    return this.accounts[low] ?? hottest;
  }
}

/** Numbers records as a worker's spool does: by partition, from 1, without gaps. */
export class Numbers {
  private readonly next = new Float64Array(usagePartitions);

  take(partition: number): number {
    const seq = (this.next[partition] ?? 0) + 1;
    this.next[partition] = seq;
    return seq;
  }

  last(partition: number): number {
    return this.next[partition] ?? 0;
  }
}

export const benchModel = "bench-model";

/** One request as a gateway reports it: 0.15 and 0.6 micro-tokens a token, so 800 in and 200 out cost 240. */
export function makeRecord(account: BenchAccount, seq: number, priceVersion: SpoolPrice): SpoolRecord {
  const input = 400 + Math.floor(Math.random() * 400) * 2;
  const output = 100 + Math.floor(Math.random() * 200) * 5;
  const cost = BigInt(Math.round((input * 150 + output * 600) / 1000));
  return {
    type: "usage",
    seq,
    requestId: newId("req"),
    accountId: account.accountId,
    keyId: account.keyId,
    leaseId: account.leaseId,
    route: "/v1/chat/completions",
    model: benchModel,
    channel: "bench",
    status: "ok",
    httpStatus: 200,
    errorCode: null,
    streamed: true,
    tokens: { input, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output, reasoning: 0 },
    images: null,
    audioMs: 0,
    priceGroup: defaultPriceGroup,
    estimated: false,
    priceVersion,
    holdMicroTokens: cost * 2n,
    costMicroTokens: cost,
    startedAt: new Date().toISOString(),
    firstByteMs: 180,
    durationMs: 2_345,
  };
}

type SpoolPrice = Extract<SpoolRecord, { type: "usage" }>["priceVersion"];
