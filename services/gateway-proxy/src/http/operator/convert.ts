import type { ChannelSnapshot } from "@codex/contracts";

/** A channel as operators see it: whether there is a secret, never the secret. */
export function toApiChannel(channel: ChannelSnapshot): Readonly<Record<string, unknown>> {
  const { sealedSecret, ...rest } = channel;
  return { ...rest, hasSecret: sealedSecret !== null };
}
