import type { ChannelSnapshot } from "@codex/contracts";
import { newId, ok, refuse, type ChannelId, type Result } from "@codex/kernel";
import type { ChannelPublisher, ChannelStore, NewChannel } from "./ports.ts";

export interface ChannelPorts {
  readonly store: ChannelStore;
  readonly publisher: ChannelPublisher;
  readonly seal: (secret: string, channelId: ChannelId) => string;
}

export type ChannelDraft = Omit<NewChannel, "channelId" | "sealedSecret"> & { readonly secret: string | null };

/** Stores the channel and brings it to every worker. Refuses a name that is taken. */
export async function createChannel(
  ports: ChannelPorts,
  draft: ChannelDraft,
): Promise<Result<ChannelSnapshot, "conflict">> {
  const channelId = newId("chn");
  const { secret, ...rest } = draft;
  const sealedSecret = secret === null ? null : ports.seal(secret, channelId);
  const set = await ports.store.create({ ...rest, channelId, sealedSecret });
  if (!set) return refuse("conflict", `There is a channel named '${draft.name}' already.`);
  await ports.publisher.publish(set);
  const created = set.channels.find((channel) => channel.channelId === channelId);
  if (!created) throw new Error("the new channel is missing from its own set");
  return ok(created);
}

/** At start: what the database holds is what the workers get, whatever the bucket says. */
export async function republishChannels(ports: Pick<ChannelPorts, "store" | "publisher">): Promise<void> {
  await ports.publisher.publish(await ports.store.all());
}
