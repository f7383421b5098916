import type { UsageRecord } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { BookableRecord } from "../app/ports.ts";

/**
 * A batch as the arguments of `apply_batch`: one array a column instead of one object a record, and what repeats within the
 * batch once, in a list that the records point into. Text of arrays, because the driver's own way costs twice as much.
 */

type Cell = number | bigint | string | null;

/** Values in the order of their first appearance; places count from 1, as Postgres does. */
class Places<T extends Cell> {
  readonly values: T[] = [];
  private readonly places = new Map<T, number>();

  of(value: T): number {
    const known = this.places.get(value);
    if (known !== undefined) return known;
    this.places.set(value, this.values.push(value));
    return this.values.length;
  }
}

const columns = [
  ["epoch", "integer"],
  ["seq", "bigint"],
  ["hash", "integer"],
  ["request", "uuid"],
  ["account", "integer"],
  ["lease", "integer"],
  ["key", "integer"],
  ["shape", "integer"],
  ["cost", "bigint"],
  ["hold", "bigint"],
  ["leaseSettled", "bigint"],
  ["startOffset", "bigint"],
  ["duration", "integer"],
  ["firstByte", "integer"],
  ["input", "integer"],
  ["output", "integer"],
  ["cachedInput", "integer"],
  ["cacheWrite", "integer"],
  ["cacheWrite1h", "integer"],
  ["reasoning", "integer"],
  ["images", "integer"],
  ["audio", "integer"],
] as const;
type Column = (typeof columns)[number][0];
type Row = Readonly<Record<Column, Cell>>;

interface Lists {
  readonly epochs: Places<number>;
  readonly accounts: Places<string>;
  readonly leases: Places<string>;
  readonly keys: Places<string>;
  readonly shapes: Places<string>;
}

const nothing = {
  request: null,
  key: 0,
  shape: 0,
  cost: null,
  hold: null,
  leaseSettled: null,
  startOffset: 0,
  duration: 0,
  firstByte: null,
  input: 0,
  output: 0,
  cachedInput: 0,
  cacheWrite: 0,
  cacheWrite1h: 0,
  reasoning: 0,
  images: null,
  audio: 0,
} as const;

/** The time in a UUIDv7. */
function uuidMs(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

/** In the order in which usage_shape_no() of the migrations reads it. */
function shapeOf(record: UsageRecord, chargeMismatch: boolean): string {
  return JSON.stringify([
    idToUuid(record.priceVersion),
    record.route,
    record.model,
    record.channel,
    record.status,
    record.httpStatus,
    record.errorCode,
    record.streamed,
    record.estimated,
    chargeMismatch,
    record.priceGroup,
    record.images?.variant ?? null,
  ]);
}

function usageCells(record: UsageRecord, { cost, hold, chargeMismatch }: BookableRecord, lists: Lists) {
  const request = idToUuid(record.requestId);
  return {
    request,
    key: lists.keys.of(record.keyId),
    shape: lists.shapes.of(shapeOf(record, chargeMismatch)),
    cost,
    hold,
    leaseSettled: null,
    startOffset: Date.parse(record.startedAt) - uuidMs(request),
    duration: record.durationMs,
    firstByte: record.firstByteMs,
    input: record.tokens.input,
    output: record.tokens.output,
    cachedInput: record.tokens.cachedInput,
    cacheWrite: record.tokens.cacheWrite,
    cacheWrite1h: record.tokens.cacheWrite1h,
    reasoning: record.tokens.reasoning,
    images: record.images?.count ?? null,
    audio: record.audioMs,
  };
}

function toRow(bookable: BookableRecord, lists: Lists): Row {
  const { epoch, record, payloadHash } = bookable.spooled;
  const base = {
    epoch: lists.epochs.of(epoch),
    seq: record.seq,
    hash: BigInt.asIntN(32, payloadHash),
    account: lists.accounts.of(record.accountId),
    lease: lists.leases.of(record.leaseId),
  };
  return record.type === "usage"
    ? { ...base, ...usageCells(record, bookable, lists) }
    : { ...base, ...nothing, leaseSettled: record.settledMicroTokens };
}

const typed = {
  integer: (text: string) => sql`${text}::integer[]`,
  bigint: (text: string) => sql`${text}::bigint[]`,
  uuid: (text: string) => sql`${text}::uuid[]`,
} as const;

/** Numbers and uuids only, so nothing needs quoting. */
function arrayText(cells: readonly Cell[]): string {
  return `{${cells.map((cell) => (cell === null ? "NULL" : String(cell))).join(",")}}`;
}

/** The arguments of `apply_batch` from p_epochs to p_audio. Records must differ in (epoch, seq). */
export function toDbUsageArrays(records: readonly BookableRecord[]): RawBuilder<unknown> {
  const lists: Lists = {
    epochs: new Places(),
    accounts: new Places(),
    leases: new Places(),
    keys: new Places(),
    shapes: new Places(),
  };
  const rows = records.map((record) => toRow(record, lists));
  const arrays = columns.map(([name, type]) => typed[type](arrayText(rows.map((row) => row[name]))));
  const uuids = (ids: Places<string>): RawBuilder<unknown> =>
    sql`${arrayText(ids.values.map((id) => idToUuid(id)))}::uuid[]`;
  return sql`${arrayText(lists.epochs.values)}::bigint[], ${uuids(lists.accounts)}, ${uuids(lists.leases)},
    ${uuids(lists.keys)}, ${`[${lists.shapes.values.join(",")}]`}::jsonb, ${sql.join(arrays)}`;
}
