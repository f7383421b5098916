import * as z from "zod";
import { amount, count, idOf, instant } from "../codecs.ts";
import { channelEgress, channelKind, channelReport, channelState } from "../gateway.ts";

const name = z.string().trim().min(1).max(64);
/** Visible ASCII without spaces: what may stand in a header. */
const secret = z
  .string()
  .min(1)
  .max(4_096)
  .regex(/^[\x21-\x7e]+$/);
const timeoutMs = z.number().int().min(100).max(900_000).nullable();
const baseUrl = z.url({ protocol: /^https?$/ }).max(1_024);
const budget = amount.refine((value) => value > 0n, { message: "must be above 0" }).nullable();

/** What an operator sets. Absent in a change: stays as it is. */
const settings = {
  egress: channelEgress,
  apiVersion: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .nullable(),
  models: z
    .record(z.string().min(1).max(128), z.string().min(1).max(128))
    .refine((models) => Object.keys(models).length <= 2_000, { message: "at most 2000 models" }),
  priority: z.number().int().min(0).max(1_000),
  weight: z.number().int().min(1).max(1_000),
  firstByteTimeoutMs: timeoutMs,
  betweenBytesTimeoutMs: timeoutMs,
  concurrencyMax: z.number().int().min(1).max(100_000).nullable(),
  /** In tokens, as customers are charged, a UTC day. */
  dailyBudget: budget,
  dailyRequestsMax: z.number().int().min(1).max(1_000_000_000).nullable(),
};

export const channelCreateBody = z.strictObject({
  name,
  kind: channelKind,
  /** Absent: the vendor's own address, where the kind has one. */
  baseUrl: baseUrl.optional(),
  /** The first key; null or absent: none yet. */
  secret: secret.nullable().default(null),
  egress: settings.egress.optional(),
  apiVersion: settings.apiVersion.default(null),
  models: settings.models,
  priority: settings.priority.default(0),
  weight: settings.weight.default(100),
  firstByteTimeoutMs: settings.firstByteTimeoutMs.default(null),
  betweenBytesTimeoutMs: settings.betweenBytesTimeoutMs.default(null),
  concurrencyMax: settings.concurrencyMax.default(null),
  dailyBudget: settings.dailyBudget.default(null),
  dailyRequestsMax: settings.dailyRequestsMax.default(null),
});

/** The version that the operator saw: the change is refused when somebody else changed the channel since. */
const version = z.number().int().min(1);
export const channelUpdateBody = z.strictObject({
  version,
  name: name.optional(),
  baseUrl: baseUrl.optional(),
  egress: settings.egress.optional(),
  apiVersion: settings.apiVersion.optional(),
  models: settings.models.optional(),
  priority: settings.priority.optional(),
  weight: settings.weight.optional(),
  firstByteTimeoutMs: settings.firstByteTimeoutMs.optional(),
  betweenBytesTimeoutMs: settings.betweenBytesTimeoutMs.optional(),
  concurrencyMax: settings.concurrencyMax.optional(),
  dailyBudget: settings.dailyBudget.optional(),
  dailyRequestsMax: settings.dailyRequestsMax.optional(),
});
export const channelVersionBody = z.strictObject({ version });
export const channelParams = z.strictObject({ channelId: idOf("chn") });
export const channelKeyParams = z.strictObject({ channelId: idOf("chn"), keyId: idOf("upk") });
export const channelKeyCreateBody = z.strictObject({ label: name, secret });
export const channelKeyUpdateBody = z.strictObject({ enabled: z.boolean() });

/** Never holds the secret. */
const channelKey = z.strictObject({
  keyId: idOf("upk"),
  label: z.string(),
  enabled: z.boolean(),
  /** Version of the master key that wraps it. */
  keyVersion: z.number().int(),
  createdAt: instant,
});
export const channel = z.strictObject({
  channelId: idOf("chn"),
  version,
  name: z.string(),
  kind: channelKind,
  baseUrl: z.string(),
  state: channelState,
  ...settings,
  keys: z.array(channelKey),
  createdAt: instant,
  updatedAt: instant,
});
export type Channel = z.infer<typeof channel>;
export const channelResponse = z.strictObject({ channel });
export const channelList = z.strictObject({ channels: z.array(channel) });

export const channelTestBody = z.strictObject({
  /** A public model name of the channel; absent: the first one. */
  model: z.string().min(1).max(128).optional(),
  /** Absent: the first key that is in use. */
  keyId: idOf("upk").optional(),
});
/** The outcome of a real small request. A failed test is a good answer: 200. */
export const channelTestResult = z.strictObject({
  ok: z.boolean(),
  model: z.string(),
  keyId: idOf("upk").nullable(),
  latencyMs: count,
  /** The upstream's status; null when there was no answer. */
  httpStatus: z.number().int().nullable(),
  /** One plain sentence. */
  reason: z.string(),
});
export type ChannelTestResult = z.infer<typeof channelTestResult>;

export const channelHealth = z.strictObject({
  channelId: idOf("chn"),
  name: z.string(),
  state: channelState,
  /** Over all workers that reported in the last ten seconds. */
  running: count,
  spentToday: amount,
  requestsToday: count,
  workers: z.array(z.strictObject({ workerId: z.string(), report: channelReport })),
});
export type ChannelHealth = z.infer<typeof channelHealth>;
export const channelHealthList = z.strictObject({ channels: z.array(channelHealth) });

export const channelRewrapResult = z.strictObject({ keyVersion: z.number().int(), rewrapped: count, current: count });

/** One line of the operators' audit log of channels. What changed is told by name, secrets never. */
export const channelAct = z.strictObject({
  actId: idOf("act"),
  /** Null: the gateway itself. */
  actorId: idOf("acc").nullable(),
  act: z.string(),
  channelId: idOf("chn").nullable(),
  channelName: z.string().nullable(),
  /** Names and new values of the fields that changed. */
  change: z.record(z.string(), z.unknown()),
  at: instant,
});
export type ChannelAct = z.infer<typeof channelAct>;
/** Newest first. */
export const channelActList = z.strictObject({ acts: z.array(channelAct) });
export const channelActQuery = z.strictObject({
  channelId: idOf("chn").optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
