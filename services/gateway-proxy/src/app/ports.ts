import type {
  ChannelAct,
  ChannelEgress,
  ChannelKind,
  ChannelReport,
  ChannelSnapshot,
  ChannelState,
} from "@codex/contracts";
import type { AccountId, ChannelId, MicroTokens, UpstreamKeyId } from "@codex/kernel";
import type { DayCounts } from "./day-meter.ts";

/** What an operator sets of a channel. */
export interface ChannelSettings {
  readonly name: string;
  readonly baseUrl: string;
  readonly egress: ChannelEgress;
  readonly apiVersion: string | null;
  readonly models: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly weight: number;
  readonly firstByteTimeoutMs: number | null;
  readonly betweenBytesTimeoutMs: number | null;
  readonly concurrencyMax: number | null;
  readonly dailyBudgetMicroTokens: MicroTokens | null;
  readonly dailyRequestsMax: number | null;
}

export interface StoredKey {
  readonly keyId: UpstreamKeyId;
  readonly label: string;
  readonly enabled: boolean;
  readonly sealedSecret: string;
  readonly wrappedKey: string | null;
  readonly keyVersion: number;
  readonly createdAt: Date;
}

export interface StoredChannel extends ChannelSettings {
  readonly channelId: ChannelId;
  readonly kind: ChannelKind;
  readonly version: number;
  readonly state: ChannelState;
  /** Oldest first. */
  readonly keys: readonly StoredKey[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type NewKey = Omit<StoredKey, "createdAt" | "enabled">;
export type NewChannel = ChannelSettings & Pick<StoredChannel, "channelId" | "kind"> & { readonly key: NewKey | null };

/** Who does what, for the audit log; written in the transaction of the change. */
export interface Act {
  /** Null: the gateway itself. */
  readonly actorId: AccountId | null;
  readonly act: string;
  /** Names and new values of what changed; never a secret. */
  readonly change: Readonly<Record<string, unknown>>;
}

export interface ChannelSet {
  /** Grows with each change of any channel. */
  readonly version: number;
  /** By name; at most 500. */
  readonly channels: readonly StoredChannel[];
}

/** `too_large`: all channels together would be more than workers can be told. */
export type StoreRefusal = "not_found" | "conflict" | "too_large";
/** The set after the change, or why nothing was changed. */
export type Changed =
  { readonly ok: true; readonly set: ChannelSet } | { readonly ok: false; readonly refusal: StoreRefusal };

/** Each change is one transaction with its act. */
export interface ChannelStore {
  all(): Promise<ChannelSet>;
  version(): Promise<number>;
  /** `conflict`: the name is taken. */
  create(channel: NewChannel, act: Act): Promise<Changed>;
  /** `conflict`: the name is taken, or the channel is not of this version any more. */
  update(channelId: ChannelId, version: number, settings: Partial<ChannelSettings>, act: Act): Promise<Changed>;
  /** `conflict`: it is not in one of the states `from`. */
  setState(channelId: ChannelId, from: readonly ChannelState[], to: ChannelState, act: Act): Promise<Changed>;
  /** `conflict`: it is not disabled. */
  remove(channelId: ChannelId, act: Act): Promise<Changed>;
  /** `conflict`: the channel has as many keys as it may. */
  addKey(channelId: ChannelId, key: NewKey, act: Act): Promise<Changed>;
  removeKey(channelId: ChannelId, keyId: UpstreamKeyId, act: Act): Promise<Changed>;
  setKeyEnabled(channelId: ChannelId, keyId: UpstreamKeyId, enabled: boolean, act: Act): Promise<Changed>;
  /** `change` gives the new envelope of a key, or undefined to leave it. Answers how many were changed. */
  rewrap(
    change: (channelId: ChannelId, key: StoredKey) => Omit<NewKey, "keyId" | "label"> | undefined,
    act: Act,
  ): Promise<{ readonly rewrapped: number; readonly set: ChannelSet }>;
  /** Newest first. */
  acts(channelId: ChannelId | undefined, limit: number): Promise<readonly ChannelAct[]>;
}

/** Brings the set to every worker; a set with a lower version never replaces a higher one. */
export interface ChannelPublisher {
  publish(version: number, channels: readonly ChannelSnapshot[]): Promise<void>;
  /** 0: nothing was published yet. */
  published(): Promise<number>;
}

/** How workers tell each other of a channel. Rejects when Redis does not answer; then each worker counts alone. */
export interface ChannelExchange {
  tell(
    told: readonly {
      readonly channelId: ChannelId;
      readonly day: number;
      readonly counts: DayCounts;
      readonly report: ChannelReport;
    }[],
  ): Promise<readonly { readonly total: DayCounts; readonly runningElsewhere: number }[]>;
  /** Reports of the last ten seconds and the counts of the day. */
  read(
    channelId: ChannelId,
    day: number,
  ): Promise<{
    readonly total: DayCounts;
    readonly workers: readonly { readonly workerId: string; readonly report: ChannelReport }[];
  }>;
}
