import { isUnserved, type Bus } from "@codex/bus";
import {
  accountTotalsGet,
  balanceGet,
  channelsKey,
  channelsKv,
  epochOpen,
  insufficientBalanceMetadata,
  keyCapMetadata,
  keyReport,
  keyResolve,
  keyResolveV1,
  keyRevocations,
  keySpendGet,
  keyUsesReport,
  leaseGrant,
  leaseRecall,
  leaseRecalled,
  leaseRecover,
  leaseReturn,
  priceBookKey,
  priceBookKv,
  priceBookNextKey,
  usageEnvelope,
  usageGet,
  watermarkGet,
} from "@codex/contracts";
import { AppError, ok, type AccountId, type Clock, type LeaseId, type Scope } from "@codex/kernel";
import { AccountTotalsCache, type AccountTotals } from "../app/account-totals.ts";
import type { Catalogue } from "../app/catalogue.ts";
import type { BookReader } from "../app/book-reader.ts";
import type { KeyCache, KeyCachePorts } from "../app/key-cache.ts";
import type { KeyReportPorts } from "../app/key-reports.ts";
import type { KeyUse } from "../app/key-uses.ts";
import type { GrantAnswer, GrantAsk, LenderPorts } from "../app/lease-ports.ts";
import type { Lender } from "../app/lender.ts";
import type { ChannelPublisher } from "../app/ports.ts";
import { AddressList } from "../domain/address-list.ts";
import type { Envelope } from "../spool/publisher.ts";
import { envelopePayload } from "../spool/records.ts";
import type { StreamState, Watermarks } from "../spool/resend-rule.ts";

/** The gateway's view of its neighbours; every translation between bus and domain is here. */

export function keyResolver(bus: Bus): KeyCachePorts["resolve"] {
  return async (keyHash) => {
    const answer = await resolveKey(bus, keyHash);
    if (!answer.ok) return undefined;
    const { expiresAt, allowedIps, ...key } = answer.value;
    return {
      ...key,
      expiresAt: expiresAt === null ? null : new Date(expiresAt),
      addresses: allowedIps && new AddressList(allowedIps),
    };
  };
}

/**
 * During an update every registry may still be of the version before, which knows neither limits nor addresses of a key: then
 * no key has any. As soon as one registry of this version runs, only such ones are asked.
 */
async function resolveKey(bus: Bus, keyHash: string) {
  try {
    return await bus.call(keyResolve, { keyHash });
  } catch (error) {
    if (!isUnserved(error)) throw error;
    const answer = await bus.call(keyResolveV1, { keyHash });
    return answer.ok ? ok({ ...answer.value, limits: null, allowedIps: null }) : answer;
  }
}

/** Rejects with AppError `unavailable` when no registry of this version answers. */
export function useReporter(bus: Bus): (uses: readonly KeyUse[]) => Promise<void> {
  return async (uses) => {
    await bus.call(keyUsesReport, { uses: uses.map(({ hour, ...use }) => ({ ...use, hour: hour.toISOString() })) });
  };
}

/** Rejects with AppError `unavailable` when no registry of this version answers. */
export function keyReporter(bus: Bus): KeyReportPorts["report"] {
  return async (keyHash, via, foundAt) => {
    await bus.call(keyReport, { keyHash, via, foundAt });
  };
}

/** What a key's owner may ask of the books. Rejects with AppError `unavailable` when billing does not answer. */
export function bookReader(bus: Bus, clock: Clock): BookReader {
  const totals = new AccountTotalsCache((accountId) => askTotals(bus, accountId), clock);
  return {
    totals: (accountId) => totals.of(accountId),
    async balance(accountId) {
      const answer = await bus.call(balanceGet, { accountId });
      if (!answer.ok) throw new Error("billing refused a balance");
      const { paidMicroTokens, bonusMicroTokens, heldMicroTokens, availableMicroTokens } = answer.value;
      return {
        paid: paidMicroTokens,
        bonus: bonusMicroTokens,
        held: heldMicroTokens,
        available: availableMicroTokens,
      };
    },
    async usage(accountId, requestId) {
      const answer = await bus.call(usageGet, { accountId, requestId });
      return answer.ok ? answer.value : undefined;
    },
    async keySpend(keyId) {
      const answer = await bus.call(keySpendGet, { keyId });
      if (!answer.ok) throw new Error("billing refused what a key spent");
      const { dailyMicroTokens, monthlyMicroTokens, totalMicroTokens } = answer.value;
      return { daily: dailyMicroTokens, monthly: monthlyMicroTokens, total: totalMicroTokens };
    },
  };
}

/** Undefined while billing is still of a version before the question. */
async function askTotals(bus: Bus, accountId: AccountId): Promise<AccountTotals | undefined> {
  try {
    const answer = await bus.call(accountTotalsGet, { accountId });
    if (!answer.ok) throw new Error("billing refused an account's totals");
    return { credited: answer.value.creditedMicroTokens, spent: answer.value.spentMicroTokens };
  } catch (error) {
    if (isUnserved(error)) return undefined;
    throw error;
  }
}

export function leaseGranter(bus: Bus, epoch: () => number): LenderPorts["grant"] {
  return async ({ requestNo, accountId, minimum, want, cap }) => {
    const answer = await bus.call(leaseGrant, {
      epoch: epoch(),
      requestNo,
      accountId,
      minimumMicroTokens: minimum,
      wantMicroTokens: want,
      cap: toBusCap(cap),
    });
    if (answer.ok) {
      const { leaseId, grantedMicroTokens, ttlMs, priceGroup } = answer.value;
      return { ok: true, value: { leaseId, granted: grantedMicroTokens, ttlMs, priceGroup } };
    }
    return { ok: false, code: answer.code, message: answer.message, ...refusalOf(answer.code, answer.metadata) };
  };
}

function toBusCap(cap: GrantAsk["cap"]) {
  if (cap === null) return null;
  const { keyId, daily, monthly, total } = cap;
  return { keyId, dailyMicroTokens: daily, monthlyMicroTokens: monthly, totalMicroTokens: total };
}

/** An answer that says too little is a refusal of everything. */
function refusalOf(code: string, metadata: unknown): Pick<GrantAnswer, "refusal"> {
  if (code === "key_cap_reached") {
    const facts = keyCapMetadata.safeParse(metadata);
    if (!facts.success) return {};
    const { period, capMicroTokens, availableMicroTokens, heldMicroTokens, resetsAt } = facts.data;
    const cap = { period, amount: capMicroTokens, resetsAt: resetsAt === null ? null : new Date(resetsAt) };
    return { refusal: { available: availableMicroTokens, held: heldMicroTokens, cap } };
  }
  const facts = insufficientBalanceMetadata.safeParse(metadata);
  if (!facts.success) return {};
  return { refusal: { available: facts.data.availableMicroTokens, held: facts.data.heldMicroTokens } };
}

export function leaseReturner(bus: Bus, epoch: () => number): LenderPorts["giveBack"] {
  return async (accountId, leases) => {
    await bus.call(leaseReturn, {
      epoch: epoch(),
      accountId,
      leases: leases.map(({ leaseId, ceiling }) => ({ leaseId, ceilingMicroTokens: ceiling })),
    });
  };
}

/** Billing's recalls, for as long as the scope lives; each is answered once billing has what it brought. */
export async function hearRecalls(bus: Bus, lender: Lender, epoch: () => number, scope: Scope): Promise<void> {
  const answer = async (accountId: AccountId): Promise<void> => {
    if (!(await lender.recall(accountId))) return;
    bus.signal(leaseRecalled, { params: { accountId }, data: { accountId, epoch: epoch() } });
  };
  const heard = await bus.onSignal(leaseRecall, ({ accountId }) => void answer(accountId));
  scope.defer("lease recalls", () => heard.stop());
}

/** The lease that a dead epoch's ask was granted, undefined when it was granted none and never will be. */
export async function recoverLease(
  bus: Bus,
  epoch: number,
  requestNo: number,
  accountId: AccountId,
): Promise<LeaseId | undefined> {
  const answer = await bus.call(leaseRecover, { epoch, requestNo, accountId });
  return answer.ok ? (answer.value.leaseId ?? undefined) : undefined;
}

export async function openEpoch(bus: Bus, workerId: string): Promise<number> {
  const answer = await bus.call(epochOpen, { workerId });
  if (!answer.ok) throw new Error("billing refused an epoch");
  return answer.value.epoch;
}

export async function publishEnvelope(bus: Bus, envelope: Envelope): Promise<{ readonly seq: number }> {
  const { id, partition } = envelope;
  return bus.publishJson(usageEnvelope, {
    id,
    params: { partition: partition.toString() },
    json: envelopePayload(envelope),
  });
}

export async function readWatermarks(bus: Bus, epoch: number): Promise<Watermarks> {
  const answer = await bus.call(watermarkGet, { epoch });
  if (!answer.ok) throw new Error("billing refused its watermark");
  const { watermarks, positions = [] } = answer.value;
  return {
    contiguous: new Map(watermarks.map(({ partition, contiguous }) => [partition, contiguous])),
    positions: new Map(
      positions.map(({ partition, streamCreated, floor }) => [
        partition,
        { createdMs: Date.parse(streamCreated), floor },
      ]),
    ),
  };
}

export async function readStream(bus: Bus): Promise<StreamState> {
  const { created, lastSeq } = await bus.streamState(usageEnvelope.stream);
  return { createdMs: created.getTime(), lastSeq };
}

export async function channelPublisher(bus: Bus): Promise<ChannelPublisher> {
  const kv = await bus.kv(channelsKv);
  return {
    async published() {
      return (await kv.get(channelsKey))?.value.version ?? 0;
    },
    async publish(version, channels) {
      // Compare and set, so that two operators' changes cannot overtake each other on the way to the bucket.
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const present = await kv.get(channelsKey);
        if (present && present.value.version >= version) return;
        const value = { version, channels: [...channels] };
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
