import type { AccountId, Clock } from "@codex/kernel";
import type { AssetStore, ImageUse } from "./ports.ts";

export interface QuotaPorts {
  readonly store: AssetStore;
  readonly clock: Clock;
  readonly bytesMax: number;
}

export interface Quota extends ImageUse {
  readonly bytesMax: number;
}

export async function readQuota(ports: QuotaPorts, accountId: AccountId): Promise<Quota> {
  return { ...(await ports.store.useOf(accountId, ports.clock.now())), bytesMax: ports.bytesMax };
}
