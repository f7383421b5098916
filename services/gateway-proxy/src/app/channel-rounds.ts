import type { ChannelHealth } from "@codex/contracts";
import type { ChannelId, Clock } from "@codex/kernel";
import type { Catalogue } from "./catalogue.ts";
import type { ChannelState } from "./channel-state.ts";
import { republishChannels, finishDrain, type ChannelPorts } from "./manage-channels.ts";
import type { ChannelExchange, StoredChannel } from "./ports.ts";

/** What is done about channels from time to time, apart from requests. */

export interface RoundPorts {
  readonly catalogue: Catalogue;
  readonly exchange: ChannelExchange;
  readonly channels: ChannelPorts;
  readonly clock: Clock;
  readonly workerId: string;
}

/** Tells the other workers what this one spent and runs, and hears the same of them. Rejects when Redis does not answer. */
export async function exchangeCounts({
  catalogue,
  exchange,
}: Pick<RoundPorts, "catalogue" | "exchange">): Promise<void> {
  const states = [...catalogue.channels()];
  if (states.length === 0) return;
  const taken = states.map((state) => state.meter.take());
  const told = states.map((state, index) => {
    const { day, spent, requests } = taken[index] ?? state.meter.take();
    return { channelId: state.snapshot.channelId, day, counts: { spent, requests }, report: state.report() };
  });
  const heard = await exchange.tell(told);
  states.forEach((state, index) => {
    const answer = heard[index];
    const part = taken[index];
    if (!answer || !part) return;
    state.meter.told(part, answer.total);
    state.runningElsewhere = answer.runningElsewhere;
  });
}

/** Every worker has heard of the drain by then, and has told what it still runs. */
const drainSettleMs = 5_000;

/** A channel that is draining and runs nothing at any worker becomes disabled. Also brings out what a crash left unpublished. */
export async function finishDrains(ports: RoundPorts): Promise<void> {
  await republishChannels(ports.channels);
  const draining = [...ports.catalogue.channels()].filter(({ snapshot }) => snapshot.state === "draining");
  if (draining.length === 0) return;
  const { channels } = await ports.channels.store.all();
  const nowMs = ports.clock.now().getTime();
  for (const { snapshot } of draining) {
    const stored = channels.find(({ channelId }) => channelId === snapshot.channelId);
    if (stored?.state !== "draining" || nowMs - stored.updatedAt.getTime() < drainSettleMs) continue;
    const { workers } = await ports.exchange.read(snapshot.channelId, dayOf(ports.clock));
    const told = workers.some(({ workerId }) => workerId === ports.workerId);
    if (!told || workers.some(({ report }) => report.running > 0)) continue;
    await finishDrain(ports.channels, snapshot.channelId);
  }
}

/** How the channel is, over all workers; without Redis as this worker alone sees it. */
export async function healthOf(
  ports: Pick<RoundPorts, "catalogue" | "exchange" | "clock" | "workerId">,
  channel: StoredChannel,
): Promise<ChannelHealth> {
  const state = ports.catalogue.channel(channel.channelId);
  const { total, workers } = await readOrOwn(ports, channel.channelId, state);
  return {
    channelId: channel.channelId,
    name: channel.name,
    state: channel.state,
    running: workers.reduce((sum, { report }) => sum + report.running, 0),
    spentToday: total.spent,
    requestsToday: total.requests,
    workers: [...workers],
  };
}

async function readOrOwn(
  ports: Pick<RoundPorts, "exchange" | "clock" | "workerId">,
  channelId: ChannelId,
  state: ChannelState | undefined,
): ReturnType<ChannelExchange["read"]> {
  try {
    return await ports.exchange.read(channelId, dayOf(ports.clock));
  } catch {
    const own = state ? [{ workerId: ports.workerId, report: state.report() }] : [];
    return { total: state?.meter.total() ?? { spent: 0n, requests: 0 }, workers: own };
  }
}

function dayOf(clock: Clock): number {
  return Math.floor(clock.now().getTime() / 86_400_000);
}
