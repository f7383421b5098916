import type { PriceBook } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import type { PriceStore } from "./ports.ts";

/** What the use cases around price versions need from the outside. */

export type PriceVersionId = PriceBook["version"];

export interface NewPriceVersion {
  readonly version: PriceVersionId;
  readonly models: PriceBook["models"];
  readonly groups: PriceBook["groups"];
  /** SHA-256 of the canonical text of models and groups. */
  readonly contentHash: Uint8Array;
  /** Undefined: now. */
  readonly effectiveAt: Date | undefined;
  /** Undefined: by the command line. */
  readonly createdBy: AccountId | undefined;
  /** The caller's key, made its own, and SHA-256 of everything that must be equal for a repeat. */
  readonly command: { readonly key: string; readonly inputHash: Uint8Array } | undefined;
}

export type NewPriceVersionOutcome =
  | {
      readonly outcome: "done";
      readonly version: PriceVersionId;
      readonly effectiveAt: Date;
      /** False when the version in force at that time says the same, and nothing was made. */
      readonly created: boolean;
      /** The answer of an earlier request with the same key. */
      readonly replayed: boolean;
    }
  | { readonly outcome: "key_reused" }
  /** The time has passed while the request was under way. */
  | { readonly outcome: "too_late" };

export type PriceVersionState = "scheduled" | "in_force" | "superseded" | "cancelled";

export interface PriceVersionHead {
  readonly version: PriceVersionId;
  readonly effectiveAt: Date;
  readonly createdAt: Date;
  /** Null: by the command line. */
  readonly createdBy: AccountId | null;
  readonly models: number;
  readonly state: PriceVersionState;
}

export interface PriceVersionStore extends PriceStore {
  /** The scheduled version that comes next; undefined when there is none. */
  nextVersion(): Promise<PriceVersionId | undefined>;
  /** When the version that followed took effect; undefined while the version is in force, scheduled, or not known. */
  supersededAt(version: PriceVersionId): Promise<Date | undefined>;
  /** One at a time over all replicas. Idempotent by content, and by command. */
  create(draft: NewPriceVersion): Promise<NewPriceVersionOutcome>;
  /** Newest effective time first. `limit` 1…200. */
  list(limit: number, before: PriceVersionId | undefined): Promise<readonly PriceVersionHead[]>;
  head(version: PriceVersionId): Promise<PriceVersionHead | undefined>;
  /** Safe to repeat. */
  cancel(version: PriceVersionId, actor: AccountId, reason: string): Promise<"cancelled" | "in_force" | "missing">;
}

export interface PriceGroupStore {
  /** The group before; an account that never had money gets its first row. Safe to repeat. */
  setGroup(accountId: AccountId, group: string, actor: AccountId, reason: string): Promise<string>;
}
