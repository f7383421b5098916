import type { ChannelSnapshot } from "@codex/contracts";
import type { ChannelId } from "@codex/kernel";

export interface NewChannel {
  readonly channelId: ChannelId;
  readonly name: string;
  readonly kind: "openai" | "demo";
  readonly baseUrl: string;
  readonly sealedSecret: string | null;
  readonly models: Readonly<Record<string, string>>;
  readonly priority: number;
}

export interface ChannelSet {
  /** Grows with each change. */
  readonly version: number;
  readonly channels: readonly ChannelSnapshot[];
}

export interface ChannelStore {
  all(): Promise<ChannelSet>;
  /** The new set, or undefined when the name is taken. */
  create(channel: NewChannel): Promise<ChannelSet | undefined>;
}

/** Brings the set to every worker; a set with a lower version never replaces a higher one. */
export interface ChannelPublisher {
  publish(set: ChannelSet): Promise<void>;
}
