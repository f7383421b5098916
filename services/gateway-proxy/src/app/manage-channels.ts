import { channelsKv, type ChannelSnapshot, type ChannelState } from "@codex/contracts";
import { newId, ok, refuse, type AccountId, type ChannelId, type Result, type UpstreamKeyId } from "@codex/kernel";
import { gzipSync } from "node:zlib";
import type {
  Act,
  Changed,
  ChannelPublisher,
  ChannelSet,
  ChannelSettings,
  ChannelStore,
  NewChannel,
  NewKey,
  StoreRefusal,
  StoredChannel,
} from "./ports.ts";

/** What operators do with channels. A change is in the database first, then on its way to every worker, then answered. */

export interface ChannelPorts {
  readonly store: ChannelStore;
  readonly publisher: ChannelPublisher;
  readonly seal: (secret: string, channelId: ChannelId, keyId: UpstreamKeyId) => Omit<NewKey, "keyId" | "label">;
  readonly rewrap: (channelId: ChannelId, key: NewKey) => Omit<NewKey, "keyId" | "label"> | undefined;
  /** The base URL in its stored form, or one sentence about what is wrong with it. */
  readonly checkBaseUrl: (
    kind: StoredChannel["kind"],
    egress: StoredChannel["egress"],
    baseUrl: string | undefined,
  ) => { readonly url: string } | { readonly problem: string };
  readonly masterKeyVersion: number;
}

export type ChannelDraft = Omit<NewChannel, "channelId" | "key" | "baseUrl"> & {
  readonly baseUrl: string | undefined;
  readonly secret: string | null;
};

type Refusal = "not_found" | "conflict" | "invalid_request";
type Answer = Promise<Result<StoredChannel, Refusal>>;

/** Refuses a base URL that is not allowed, and a name that is taken. */
export async function createChannel(ports: ChannelPorts, actorId: AccountId | null, draft: ChannelDraft): Answer {
  const { secret, ...rest } = draft;
  const checked = ports.checkBaseUrl(draft.kind, draft.egress, draft.baseUrl);
  if ("problem" in checked) return refuse("invalid_request", checked.problem);
  const channelId = newId("chn");
  const keyId = newId("upk");
  const key = secret === null ? null : { keyId, label: "default", ...ports.seal(secret, channelId, keyId) };
  const channel = { ...rest, baseUrl: checked.url, channelId, key };
  const change = { ...changeOf(channel), kind: channel.kind, key: key?.label ?? null };
  return finish(ports, channelId, await ports.store.create(channel, { actorId, act: "channel.created", change }));
}

/** Refuses when the channel is not of this version any more: somebody else changed it in the meantime. */
export async function updateChannel(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
  version: number,
  settings: Partial<ChannelSettings>,
): Answer {
  const present = await findChannel(ports, channelId);
  if (!present) return refuse("not_found", "There is no such channel.");
  const { kind } = present;
  const checked = ports.checkBaseUrl(kind, settings.egress ?? present.egress, settings.baseUrl ?? present.baseUrl);
  if ("problem" in checked) return refuse("invalid_request", checked.problem);
  const changed = { ...settings, baseUrl: checked.url };
  const act: Act = { actorId, act: "channel.updated", change: changeOf(settings) };
  return finish(ports, channelId, await ports.store.update(channelId, version, changed, act));
}

const transitions = {
  enabled: ["draining", "disabled", "enabled"],
  // What takes no requests has nothing to drain.
  draining: ["enabled", "draining"],
  disabled: ["enabled", "draining", "disabled"],
} as const satisfies Record<ChannelState, readonly ChannelState[]>;

/** Running requests go on to their end in every state. Idempotent. */
export async function setChannelState(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
  to: ChannelState,
): Answer {
  const act: Act = { actorId, act: `channel.${to}`, change: { state: to } };
  return finish(ports, channelId, await ports.store.setState(channelId, transitions[to], to, act));
}

/**
 * The end of a drain, which any worker may find: the first one disables the channel, and nobody does whose operator has
 * meanwhile enabled it again.
 */
export async function finishDrain(ports: ChannelPorts, channelId: ChannelId): Promise<void> {
  const act: Act = { actorId: null, act: "channel.disabled", change: { state: "disabled" } };
  const changed = await ports.store.setState(channelId, ["draining"], "disabled", act);
  if (changed.ok) await publish(ports, changed.set);
}

/** Only of a disabled channel, so that nothing that works is lost by one call. */
export async function deleteChannel(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
): Promise<Result<null, Refusal>> {
  const changed = await ports.store.remove(channelId, { actorId, act: "channel.deleted", change: {} });
  if (!changed.ok) {
    return changed.refusal === "conflict"
      ? refuse("conflict", "The channel is not disabled. Drain or disable it first.")
      : refuse("not_found", "There is no such channel.");
  }
  await publish(ports, changed.set);
  return ok(null);
}

export async function addKey(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
  label: string,
  secret: string,
): Answer {
  const keyId = newId("upk");
  const key = { keyId, label, ...ports.seal(secret, channelId, keyId) };
  const act: Act = { actorId, act: "channel.key_added", change: { keyId, label } };
  return finish(ports, channelId, await ports.store.addKey(channelId, key, act));
}

export async function removeKey(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
  keyId: UpstreamKeyId,
): Answer {
  const act: Act = { actorId, act: "channel.key_removed", change: { keyId } };
  return finish(ports, channelId, await ports.store.removeKey(channelId, keyId, act));
}

export async function setKeyEnabled(
  ports: ChannelPorts,
  actorId: AccountId | null,
  channelId: ChannelId,
  keyId: UpstreamKeyId,
  enabled: boolean,
): Answer {
  const act: Act = { actorId, act: enabled ? "channel.key_enabled" : "channel.key_disabled", change: { keyId } };
  return finish(ports, channelId, await ports.store.setKeyEnabled(channelId, keyId, enabled, act));
}

/** Brings every key under the current master key (SEC-43). Throws when one cannot be opened; then nothing is changed. */
export async function rewrapKeys(
  ports: ChannelPorts,
  actorId: AccountId | null,
): Promise<{ readonly keyVersion: number; readonly rewrapped: number; readonly current: number }> {
  const keyVersion = ports.masterKeyVersion;
  const act: Act = { actorId, act: "channel.keys_rewrapped", change: { keyVersion } };
  const { rewrapped, set } = await ports.store.rewrap(ports.rewrap, act);
  await publish(ports, set);
  const current = set.channels.reduce((sum, { keys }) => sum + keys.length, 0);
  return { keyVersion, rewrapped, current };
}

/** Whether the set can be brought to the workers; asked before a change is committed. */
export function canBePublished(set: ChannelSet): boolean {
  const text = JSON.stringify(set.channels.map(toSnapshot), (_name, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return gzipSync(text).length <= publishedBytesMax;
}

/** Below the bucket's own bound, for what the envelope adds. */
const publishedBytesMax = channelsKv.maxValueBytes - 10_000;

/** What the database holds is what the workers get, whatever the bucket says. At start, and when a publication was lost. */
export async function republishChannels(ports: Pick<ChannelPorts, "store" | "publisher">): Promise<void> {
  const [stored, published] = await Promise.all([ports.store.version(), ports.publisher.published()]);
  if (stored > published) await publish(ports, await ports.store.all());
}

export async function findChannel(
  ports: Pick<ChannelPorts, "store">,
  channelId: ChannelId,
): Promise<StoredChannel | undefined> {
  const { channels } = await ports.store.all();
  return channels.find((channel) => channel.channelId === channelId);
}

const refusals = {
  not_found: ["not_found", "There is no such channel or key."],
  conflict: ["conflict", "The name is taken, the bound is reached, or somebody else changed the channel meanwhile."],
  too_large: ["conflict", "All channels together would be more than workers can be told: remove some, or model names."],
} as const satisfies Record<StoreRefusal, readonly [Refusal, string]>;

async function finish(ports: ChannelPorts, channelId: ChannelId, changed: Changed): Answer {
  if (!changed.ok) {
    const [code, message] = refusals[changed.refusal];
    return refuse(code, message);
  }
  await publish(ports, changed.set);
  const channel = changed.set.channels.find((candidate) => candidate.channelId === channelId);
  if (!channel) throw new Error("the changed channel is missing from its own set");
  return ok(channel);
}

async function publish(
  ports: Pick<ChannelPorts, "publisher">,
  set: Awaited<ReturnType<ChannelStore["all"]>>,
): Promise<void> {
  await ports.publisher.publish(set.version, set.channels.map(toSnapshot));
}

/** The vendors' own APIs all want a key; a channel of theirs whose last key was removed serves nothing. */
const keylessKinds: ReadonlySet<StoredChannel["kind"]> = new Set(["openai-compatible", "demo"]);

function toSnapshot(channel: StoredChannel): ChannelSnapshot {
  const { keys } = channel;
  return {
    channelId: channel.channelId,
    version: channel.version,
    name: channel.name,
    kind: channel.kind,
    baseUrl: channel.baseUrl,
    egress: channel.egress,
    apiVersion: channel.apiVersion,
    models: { ...channel.models },
    priority: channel.priority,
    weight: channel.weight,
    state: channel.state,
    firstByteTimeoutMs: channel.firstByteTimeoutMs,
    betweenBytesTimeoutMs: channel.betweenBytesTimeoutMs,
    concurrencyMax: channel.concurrencyMax,
    dailyBudgetMicroTokens: channel.dailyBudgetMicroTokens,
    dailyRequestsMax: channel.dailyRequestsMax,
    keys: keys
      .filter(({ enabled }) => enabled)
      .map(({ keyId, label, sealedSecret, wrappedKey, keyVersion }) => ({
        keyId,
        label,
        sealedSecret,
        wrappedKey,
        keyVersion,
      })),
    keyless: keys.length === 0 && keylessKinds.has(channel.kind),
  };
}

const settingNames = [
  "name",
  "baseUrl",
  "egress",
  "apiVersion",
  "models",
  "priority",
  "weight",
  "firstByteTimeoutMs",
  "betweenBytesTimeoutMs",
  "concurrencyMax",
  "dailyBudgetMicroTokens",
  "dailyRequestsMax",
] as const satisfies readonly (keyof ChannelSettings)[];

/** As the audit log keeps it: amounts as text, and what is not named here not at all. */
function changeOf(settings: Partial<ChannelSettings>): Record<string, unknown> {
  const fields = settingNames.filter((name) => settings[name] !== undefined);
  return Object.fromEntries(
    fields.map((name) => {
      const value = settings[name];
      return [name, typeof value === "bigint" ? value.toString() : value];
    }),
  );
}
