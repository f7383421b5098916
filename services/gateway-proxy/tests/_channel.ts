import type { ChannelSnapshot, UpstreamKeySnapshot } from "@codex/contracts";
import { ManualClock, newId, type Clock } from "@codex/kernel";
import type { Route } from "../src/app/catalogue.ts";
import { ChannelState } from "../src/app/channel-state.ts";

/** Channels as workers hold them, without a bus; a key's secret is what stands in its envelope. */

export function snapshotOf(more: Partial<ChannelSnapshot> = {}): ChannelSnapshot {
  return {
    channelId: newId("chn"),
    version: 1,
    name: "channel",
    kind: "openai-compatible",
    baseUrl: "https://up.example/v1",
    egress: "public",
    apiVersion: null,
    models: { m: "up-m" },
    priority: 0,
    weight: 100,
    state: "enabled",
    firstByteTimeoutMs: null,
    betweenBytesTimeoutMs: null,
    concurrencyMax: null,
    dailyBudgetMicroTokens: null,
    dailyRequestsMax: null,
    keys: [],
    keyless: (more.keys ?? []).length === 0,
    ...more,
  };
}

export function keysOf(...secrets: readonly string[]): UpstreamKeySnapshot[] {
  return secrets.map((secret) => ({
    keyId: newId("upk"),
    label: secret,
    sealedSecret: secret,
    wrappedKey: "w",
    keyVersion: 1,
  }));
}

export function stateOf(more: Partial<ChannelSnapshot> = {}, clock: Clock = new ManualClock()): ChannelState {
  return new ChannelState(snapshotOf(more), {
    open: (_channel, key) => {
      if (key.sealedSecret === "unreadable") throw new Error("another master key");
      return key.sealedSecret;
    },
    onUnreadable: () => undefined,
    clock,
  });
}

export function routeOf(channel: ChannelState, model = "m"): Route {
  const { channelId, name, kind, models } = channel.snapshot;
  return {
    channelId,
    channelName: name,
    kind,
    upstreamModel: models[model] ?? model,
    channel,
    breaker: channel.breaker(model),
  };
}
