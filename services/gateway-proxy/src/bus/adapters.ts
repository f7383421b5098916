import type { Bus } from "@codex/bus";
import {
  channelsKey,
  channelsKv,
  epochOpen,
  insufficientBalanceMetadata,
  keyResolve,
  keyRevocations,
  leaseGrant,
  priceBookKey,
  priceBookKv,
  priceBookNextKey,
  usageEnvelope,
  watermarkGet,
} from "@codex/contracts";
import { AppError, type Scope } from "@codex/kernel";
import type { Catalogue } from "../app/catalogue.ts";
import type { KeyCache, KeyCachePorts } from "../app/key-cache.ts";
import type { LenderPorts } from "../app/lender.ts";
import type { ChannelPublisher } from "../app/ports.ts";
import type { Envelope } from "../spool/publisher.ts";

/** The gateway's view of its neighbours; every translation between bus and domain is here. */

export function keyResolver(bus: Bus): KeyCachePorts["resolve"] {
  return async (keyHash) => {
    const answer = await bus.call(keyResolve, { keyHash });
    if (!answer.ok) return undefined;
    const { expiresAt, ...key } = answer.value;
    return { ...key, expiresAt: expiresAt === null ? null : new Date(expiresAt) };
  };
}

export function leaseGranter(bus: Bus, epoch: () => number): LenderPorts["grant"] {
  return async ({ requestNo, accountId, minimum, want }) => {
    const answer = await bus.call(leaseGrant, {
      epoch: epoch(),
      requestNo,
      accountId,
      minimumMicroTokens: minimum,
      wantMicroTokens: want,
    });
    if (answer.ok) {
      const { leaseId, grantedMicroTokens, ttlMs } = answer.value;
      return { ok: true, value: { leaseId, granted: grantedMicroTokens, ttlMs } };
    }
    const metadata = insufficientBalanceMetadata.safeParse(answer.metadata);
    if (!metadata.success) return { ok: false, code: answer.code, message: answer.message };
    const refusal = { available: metadata.data.availableMicroTokens, held: metadata.data.heldMicroTokens };
    return { ok: false, code: answer.code, message: answer.message, refusal };
  };
}

export async function openEpoch(bus: Bus, workerId: string): Promise<number> {
  const answer = await bus.call(epochOpen, { workerId });
  if (!answer.ok) throw new Error("billing refused an epoch");
  return answer.value.epoch;
}

export async function publishEnvelope(bus: Bus, envelope: Envelope): Promise<void> {
  const { id, partition, epoch, first, last, records } = envelope;
  await bus.publish(usageEnvelope, {
    id,
    params: { partition: partition.toString() },
    data: { epoch, partition, first, last, records: [...records] },
  });
}

export async function readWatermarks(bus: Bus, epoch: number): Promise<ReadonlyMap<number, number>> {
  const answer = await bus.call(watermarkGet, { epoch });
  if (!answer.ok) throw new Error("billing refused its watermark");
  return new Map(answer.value.watermarks.map(({ partition, contiguous }) => [partition, contiguous]));
}

export async function channelPublisher(bus: Bus): Promise<ChannelPublisher> {
  const kv = await bus.kv(channelsKv);
  return {
    async publish(set) {
      // Compare and set, so that two operators' changes cannot overtake each other on the way to the bucket.
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const present = await kv.get(channelsKey);
        if (present && present.value.version >= set.version) return;
        const value = { version: set.version, channels: [...set.channels] };
        const written = present
          ? await kv.update(channelsKey, value, present.revision)
          : await kv.create(channelsKey, value);
        if (written) return;
      }
      throw new AppError({
        kind: "unavailable",
        code: "service_unavailable",
        publicMessage: "The change could not be distributed. Please try again.",
      });
    },
  };
}

/** Keeps prices, channels and revocations current for as long as the scope lives. Resolves when each was read once. */
export async function watchBuckets(bus: Bus, catalogue: Catalogue, keys: KeyCache, scope: Scope): Promise<void> {
  const prices = await bus.kv(priceBookKv);
  const channels = await bus.kv(channelsKv);
  const revocations = await bus.kv(keyRevocations);
  const watches = await Promise.all([
    prices.watch({
      key: priceBookKey,
      onChange: ({ value }) => {
        if (value) catalogue.setPrices(value);
      },
    }),
    prices.watch({
      key: priceBookNextKey,
      onChange: ({ value }) => catalogue.setNextPrices(value ?? undefined),
    }),
    channels.watch({
      key: channelsKey,
      onChange: ({ value }) => {
        if (value) catalogue.setChannels(value.channels);
      },
    }),
    revocations.watch({
      onChange: ({ key, value }) => {
        if (value) keys.revoke(key, value.version);
      },
    }),
  ]);
  for (const watch of watches) scope.defer("bucket watch", () => watch.stop());
}
