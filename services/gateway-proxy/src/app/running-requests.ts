import type { AccountId, KeyId, RequestId } from "@codex/kernel";
import type { Limited } from "../domain/limits.ts";

/** The requests of this worker that hold a slot: what is renewed while they run, and counted when this worker counts alone. */
export class RunningRequests {
  private readonly keys = new Map<KeyId, { readonly of: Limited; readonly ids: Set<RequestId> }>();
  private readonly accounts = new Map<AccountId, number>();

  add(of: Limited, requestId: RequestId): void {
    const present = this.keys.get(of.keyId);
    if (present) present.ids.add(requestId);
    else this.keys.set(of.keyId, { of, ids: new Set([requestId]) });
    this.accounts.set(of.accountId, (this.accounts.get(of.accountId) ?? 0) + 1);
  }

  remove({ keyId, accountId }: Limited, requestId: RequestId): void {
    const present = this.keys.get(keyId);
    if (present?.ids.delete(requestId) !== true) return;
    if (present.ids.size === 0) this.keys.delete(keyId);
    const left = (this.accounts.get(accountId) ?? 1) - 1;
    if (left === 0) this.accounts.delete(accountId);
    else this.accounts.set(accountId, left);
  }

  counts({ keyId, accountId }: Limited): { readonly key: number; readonly account: number } {
    return { key: this.keys.get(keyId)?.ids.size ?? 0, account: this.accounts.get(accountId) ?? 0 };
  }

  /** By key. */
  all(): readonly { readonly of: Limited; readonly requestIds: readonly RequestId[] }[] {
    return [...this.keys.values()].map(({ of, ids }) => ({ of, requestIds: [...ids] }));
  }
}
