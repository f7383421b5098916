import type { TokenCounts, UsageRecord, usageStatus } from "@codex/contracts";
import { parseMicroTokens } from "@codex/kernel/money";
import type { Id, IdPrefix, MicroTokens } from "@codex/kernel";

/**
 * The usual record, checked by hand: a third of what reading usage cost was the schema's interpreter. The schema stays the
 * contract. What is not exactly the record of a current gateway is undefined here, and the caller asks the schema, which knows
 * defaults and says what is wrong; a property test holds that this never accepts what the schema refuses, nor reads it
 * differently.
 */

type Wire = Readonly<Record<string, unknown>>;

const idForms = Object.fromEntries(
  (["req", "acc", "key", "lse", "prc"] as const).map((prefix) => [
    prefix,
    new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`),
  ]),
) as Readonly<Record<"req" | "acc" | "key" | "lse" | "prc", RegExp>>;

const fieldsOfRecord = 24;
const fieldsOfTokens = 6;
const statuses: ReadonlySet<unknown> = new Set<(typeof usageStatus)["options"][number]>([
  "ok",
  "client_closed",
  "upstream_error",
  "upstream_cut",
  "abandoned",
]);
/** As `Date.toISOString` writes it; the day apart, because not every month has a 29th. */
const instantForm = /^\d{4}-(?:0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const groupForm = /^[a-z0-9_-]{1,32}$/;
const amountForm = /^-?\d{1,19}$/;

/** One for all: a stack for each odd record would cost more than the schema. */
const unusual = new Error("ask the schema");

function id<P extends IdPrefix & keyof typeof idForms>(prefix: P, value: unknown): Id<P> {
  if (typeof value !== "string" || !idForms[prefix].test(value)) throw unusual;
  return value as Id<P>;
}

function integer(value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) throw unusual;
  return value;
}

function text(value: unknown, lengthMax: number): string {
  if (typeof value !== "string" || value.length > lengthMax) throw unusual;
  return value;
}

function flag(value: unknown): boolean {
  if (typeof value !== "boolean") throw unusual;
  return value;
}

function amount(value: unknown): MicroTokens {
  const parsed = typeof value === "string" && amountForm.test(value) ? parseMicroTokens(value) : undefined;
  if (parsed === undefined) throw unusual;
  return parsed;
}

function instant(value: unknown): string {
  if (typeof value !== "string") throw unusual;
  const day = instantForm.exec(value)?.[1];
  if (day === undefined) throw unusual;
  // A day that its month does not have comes back as another.
  if (day > "28" && new Date(Date.parse(value)).toISOString() !== value) throw unusual;
  return value;
}

function tokens(value: unknown): TokenCounts {
  if (!isWire(value) || Object.keys(value).length !== fieldsOfTokens) throw unusual;
  return {
    input: integer(value["input"], 0),
    cachedInput: integer(value["cachedInput"], 0),
    cacheWrite: integer(value["cacheWrite"], 0),
    cacheWrite1h: integer(value["cacheWrite1h"], 0),
    output: integer(value["output"], 0),
    reasoning: integer(value["reasoning"], 0),
  };
}

function isWire(value: unknown): value is Wire {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A usage record in its wire form, or undefined when only the schema can tell. Never throws. */
export function quickUsageRecord(wire: unknown): UsageRecord | undefined {
  if (!isWire(wire) || wire["type"] !== "usage") return undefined;
  try {
    return usageRecordOf(wire);
  } catch {
    return undefined;
  }
}

function usageRecordOf(wire: Wire): UsageRecord {
  if (Object.keys(wire).length !== fieldsOfRecord) throw unusual;
  const { status, channel, errorCode, firstByteMs, priceGroup } = wire;
  if (!statuses.has(status) || wire["images"] !== null) throw unusual;
  if (typeof priceGroup !== "string" || !groupForm.test(priceGroup)) throw unusual;
  return {
    type: "usage",
    seq: integer(wire["seq"], 1),
    requestId: id("req", wire["requestId"]),
    accountId: id("acc", wire["accountId"]),
    keyId: id("key", wire["keyId"]),
    leaseId: id("lse", wire["leaseId"]),
    route: text(wire["route"], 64),
    model: text(wire["model"], 128),
    channel: channel === null ? null : text(channel, 64),
    status: status as UsageRecord["status"],
    httpStatus: integer(wire["httpStatus"], 100, 599),
    errorCode: errorCode === null ? null : text(errorCode, 64),
    streamed: flag(wire["streamed"]),
    tokens: tokens(wire["tokens"]),
    images: null,
    audioMs: integer(wire["audioMs"], 0),
    priceGroup,
    estimated: flag(wire["estimated"]),
    priceVersion: id("prc", wire["priceVersion"]),
    holdMicroTokens: amount(wire["holdMicroTokens"]),
    costMicroTokens: amount(wire["costMicroTokens"]),
    startedAt: instant(wire["startedAt"]),
    firstByteMs: firstByteMs === null ? null : integer(firstByteMs, 0),
    durationMs: integer(wire["durationMs"], 0),
  };
}
