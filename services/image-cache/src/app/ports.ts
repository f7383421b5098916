import type { AccountId } from "@codex/kernel";

export interface ImageUse {
  readonly images: number;
  readonly bytes: number;
}

export interface AssetStore {
  /** What lies in the cache for the account at `now`; what has expired does not count. */
  useOf(accountId: AccountId, now: Date): Promise<ImageUse>;
}
