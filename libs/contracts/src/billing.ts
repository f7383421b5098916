import * as z from "zod";
import { count, idOf, instant, microTokens } from "./codecs.ts";
import { defineEvent, defineRpc } from "./define.ts";
import { defaultPriceGroup, priceGroupName, tokenCounts, usageImages } from "./pricing.ts";

/**
 * Glossary
 *   epoch      one life of one gateway worker's spool; issued by Postgres, never reused
 *   seq        number of a record within (epoch, partition), from 1, without gaps
 *   partition  `usagePartitionOf(accountId)`: all records of an account are applied by one writer
 *   lease      part of an account's balance reserved for one worker; see docs/architecture.md §Admission
 *   watermark  highest seq up to which every record of (epoch, partition) is committed in billing
 */

export const usagePartitions = 16;

/** FNV-1a over the id text, modulo {@link usagePartitions}: stable across processes and versions, never to be changed. */
export function usagePartitionOf(accountId: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < accountId.length; index += 1) {
    hash = Math.imul(hash ^ accountId.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash % usagePartitions;
}

const partition = z
  .number()
  .int()
  .min(0)
  .max(usagePartitions - 1);
export const requestNo = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const seq = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
export const epoch = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

/** How a request ended, from the customer's point of view. */
export const usageStatus = z.enum(["ok", "client_closed", "upstream_error", "upstream_cut", "abandoned"]);

export const usageRecord = z.strictObject({
  type: z.literal("usage"),
  seq,
  requestId: idOf("req"),
  accountId: idOf("acc"),
  keyId: idOf("key"),
  leaseId: idOf("lse"),
  route: z.string().max(64),
  model: z.string().max(128),
  channel: z.string().max(64).nullable(),
  status: usageStatus,
  httpStatus: z.number().int().min(100).max(599),
  errorCode: z.string().max(64).nullable(),
  streamed: z.boolean(),
  tokens: tokenCounts,
  /** Pictures made; null for anything else. Absent, like the two after it, in records of an older gateway. */
  images: usageImages.nullable().default(null),
  /** Sound heard or made, where it is priced by its length. */
  audioMs: count.default(0),
  /** Group of the account when the request was admitted. */
  priceGroup: priceGroupName.default(defaultPriceGroup),
  /** True when the upstream reported no usable usage and the counts are ours. */
  estimated: z.boolean(),
  priceVersion: idOf("prc"),
  holdMicroTokens: microTokens,
  /** 0 ≤ cost ≤ hold. */
  costMicroTokens: microTokens,
  /** When the request was admitted: decides the version of the prices and the off-peak window. */
  startedAt: instant,
  firstByteMs: count.nullable(),
  durationMs: count,
});
export type UsageRecord = z.infer<typeof usageRecord>;

/** The fence: frees what the lease did not spend, once everything before it is applied. */
export const leaseCloseRecord = z.strictObject({
  type: z.literal("lease_close"),
  seq,
  accountId: idOf("acc"),
  leaseId: idOf("lse"),
  /** The worker's own sum of charges on this lease: an independent check. */
  settledMicroTokens: microTokens,
});
export type LeaseCloseRecord = z.infer<typeof leaseCloseRecord>;

export const spoolRecord = z.discriminatedUnion("type", [usageRecord, leaseCloseRecord]);
export type SpoolRecord = z.infer<typeof spoolRecord>;

export const usageEnvelopeRecordsMax = 200;

export const usageEnvelope = defineEvent({
  stream: "USAGE",
  type: "usage.spooled",
  version: 1,
  pattern: "usage.v1.{partition}",
  description:
    "Records `first`…`last` of one (epoch, partition). Event id `<epoch>-<partition>-<first>-<last>`, the same on every resend; `-r<n>` behind it when the copy before is proven lost.",
  data: z.strictObject({
    epoch,
    partition,
    first: seq,
    last: seq,
    records: z.array(spoolRecord).min(1).max(usageEnvelopeRecordsMax),
  }),
});

const changedBalance = z.strictObject({
  accountId: idOf("acc"),
  paidMicroTokens: microTokens,
  bonusMicroTokens: microTokens,
  heldMicroTokens: microTokens,
  availableMicroTokens: microTokens,
  version: count,
});
export type ChangedBalanceMessage = z.output<typeof changedBalance>;

export const balanceChanged = defineEvent({
  stream: "EVENTS",
  type: "balance.changed",
  version: 1,
  pattern: "evt.balance.changed.v1.{accountId}",
  description:
    "The balance after a command: a grant, a refund, a voucher, a reclaim. A hint: receivers keep the highest version, the ledger is the truth. What usage changes is told by `balances.changed`.",
  data: changedBalance,
});

export const changedBalancesMax = 200;

export const balancesChanged = defineEvent({
  stream: "EVENTS",
  type: "balances.changed",
  version: 1,
  pattern: "evt.balances.changed.v1.{partition}",
  description:
    "Balances that usage has changed, of the accounts of one partition: the newest state of each, once a round and not for every batch. Hints like `balance.changed`.",
  data: z.strictObject({ partition, balances: z.array(changedBalance).min(1).max(changedBalancesMax) }),
});

export const epochOpen = defineRpc({
  subject: "rpc.billing.epoch.open.v1",
  description: "A gateway worker begins a life of its spool. Each call gives a new epoch.",
  timeoutMs: 5_000,
  req: z.strictObject({ workerId: z.string().min(1).max(128) }),
  res: z.strictObject({ epoch }),
  errors: [],
});

/** What a key may spend in a UTC day, a UTC month, and ever; null = no limit. */
const keySpendCap = z.strictObject({
  keyId: idOf("key"),
  dailyMicroTokens: microTokens.nullable(),
  monthlyMicroTokens: microTokens.nullable(),
  totalMicroTokens: microTokens.nullable(),
});

export const leaseGrant = defineRpc({
  subject: "rpc.billing.lease.grant.v1",
  description:
    "Reserves part of the balance for one worker. Idempotent by (epoch, requestNo): a repeated ask returns the stored lease. Grants at least `minimum` or refuses.",
  timeoutMs: 2_000,
  req: z.strictObject({
    epoch,
    requestNo,
    accountId: idOf("acc"),
    minimumMicroTokens: microTokens,
    wantMicroTokens: microTokens,
    /** Of a capped key: the lease then counts against its caps and pays for this key alone. Absent or null: no caps. */
    cap: keySpendCap.nullable().optional(),
  }),
  res: z.strictObject({
    leaseId: idOf("lse"),
    grantedMicroTokens: microTokens,
    /** On the worker's monotonic clock, counted from before the ask; stops new admissions, frees nothing. */
    ttlMs: count,
    /** Of the account: decides which prices apply to it. */
    priceGroup: priceGroupName.default(defaultPriceGroup),
  }),
  errors: ["insufficient_balance", "account_frozen", "key_cap_reached"],
});

/** Metadata of an `insufficient_balance` refusal, as micro-token strings. */
export const insufficientBalanceMetadata = z.object({
  availableMicroTokens: microTokens,
  heldMicroTokens: microTokens,
});

/** Metadata of a `key_cap_reached` refusal: the tightest cap. */
export const keyCapMetadata = z.object({
  period: z.enum(["day", "month", "total"]),
  capMicroTokens: microTokens,
  availableMicroTokens: microTokens,
  heldMicroTokens: microTokens,
  /** Null for a total, which never resets. */
  resetsAt: instant.nullable(),
});

export const watermarkGet = defineRpc({
  subject: "rpc.billing.watermark.get.v1",
  description:
    "How far billing has committed this epoch, by partition, and how far it has read the stream USAGE. A partition without records is absent.",
  timeoutMs: 2_000,
  req: z.strictObject({ epoch }),
  res: z.strictObject({
    watermarks: z.array(z.strictObject({ partition, contiguous: count })).max(usagePartitions),
    /** Everything of the partition up to stream sequence `floor` is committed. Absent: billing does not know. */
    positions: z
      .array(z.strictObject({ partition, streamCreated: instant, floor: count }))
      .max(usagePartitions)
      .optional(),
  }),
  errors: [],
});

export const balanceGet = defineRpc({
  subject: "rpc.billing.balance.get.v1",
  description: "The committed balance of an account; zeros when it never had money.",
  timeoutMs: 2_000,
  req: z.strictObject({ accountId: idOf("acc") }),
  res: z.strictObject({
    paidMicroTokens: microTokens,
    bonusMicroTokens: microTokens,
    heldMicroTokens: microTokens,
    availableMicroTokens: microTokens,
  }),
  errors: [],
});

/** A durable command. Idempotent by key and input: the same key with another input goes to the dead letters. */
export const grantCommand = defineEvent({
  stream: "COMMANDS",
  type: "billing.grant.requested",
  version: 1,
  pattern: "cmd.billing.grant.v1.{accountId}",
  description:
    "Credit an account. `bucket` decides whether the money is paid or bonus. What is left of a bonus with `expiresAt` is taken back then; paid money never expires.",
  data: z.strictObject({
    accountId: idOf("acc"),
    bucket: z.enum(["paid", "bonus"]),
    amountMicroTokens: microTokens,
    reason: z.enum(["demo_seed", "telegram_bonus", "referral_bonus", "operator_grant"]),
    idempotencyKey: z.string().min(8).max(128),
    /** Bonus only. Absent: never. */
    expiresAt: instant.optional(),
  }),
});

/** A durable command. Idempotent by key and input, as grants are. It may come before the request's usage is booked. */
export const refundCommand = defineEvent({
  stream: "COMMANDS",
  type: "billing.refund.requested",
  version: 1,
  pattern: "cmd.billing.refund.v1.{accountId}",
  description:
    "Give back what was charged for one request, or a part. All refunds of a request together never exceed its charge; the user sees the reason.",
  data: z.strictObject({
    accountId: idOf("acc"),
    requestId: idOf("req"),
    /** Null: whatever of the charge is not given back yet. */
    amountMicroTokens: microTokens.nullable(),
    reason: z.enum(["image_not_delivered", "service_fault"]),
    idempotencyKey: z.string().min(8).max(128),
  }),
});

export const commandVerdictsMax = 200;

export const commandVerdicts = defineRpc({
  subject: "rpc.billing.command.verdicts.v1",
  description:
    "What became of commands, by the event id of their envelope. `waiting`: billing holds it and tries it again by itself. One that is absent has not arrived, or more than 90 days ago: send it again, the command's key keeps it from being done twice.",
  timeoutMs: 2_000,
  req: z.strictObject({ eventIds: z.array(z.string().min(1).max(256)).min(1).max(commandVerdictsMax) }),
  res: z.strictObject({
    verdicts: z
      .array(z.strictObject({ eventId: z.string(), verdict: z.enum(["applied", "refused", "waiting"]) }))
      .max(commandVerdictsMax),
  }),
  errors: [],
});
