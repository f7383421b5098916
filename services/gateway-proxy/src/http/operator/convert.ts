import type { Channel } from "@codex/contracts";
import type { ChannelSettings, StoredChannel } from "../../app/ports.ts";

/** A channel as operators see it: its keys by name, never their secrets. */
export function toApiChannel(channel: StoredChannel): Channel {
  const { keys, dailyBudgetMicroTokens, createdAt, updatedAt, models, ...rest } = channel;
  return {
    ...rest,
    models: { ...models },
    dailyBudget: dailyBudgetMicroTokens,
    keys: keys.map(({ keyId, label, enabled, keyVersion, createdAt: madeAt }) => ({
      keyId,
      label,
      enabled,
      keyVersion,
      createdAt: madeAt.toISOString(),
    })),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

type ApiSettings = {
  readonly [Name in keyof Omit<ChannelSettings, "dailyBudgetMicroTokens">]?: ChannelSettings[Name] | undefined;
} & {
  readonly dailyBudget?: bigint | null | undefined;
};

/** Only what was given: an absent field stays as it is. */
export function fromApiSettings({ dailyBudget, ...rest }: ApiSettings): Partial<ChannelSettings> {
  const all = { ...rest, dailyBudgetMicroTokens: dailyBudget };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
