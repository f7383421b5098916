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

const types = {
  epoch: "integer",
  seq: "bigint",
  hash: "integer",
  request: "uuid",
  account: "integer",
  lease: "integer",
  key: "integer",
  shape: "integer",
  cost: "bigint",
  hold: "bigint",
  leaseSettled: "bigint",
  startOffset: "bigint",
  duration: "integer",
  firstByte: "integer",
  input: "integer",
  output: "integer",
  cachedInput: "integer",
  cacheWrite: "integer",
  cacheWrite1h: "integer",
  reasoning: "integer",
  images: "integer",
  audio: "integer",
} as const;
type Column = keyof typeof types;
const columns = Object.keys(types) as readonly Column[];

/** What a batch becomes: lists of what repeats, and one list of cells a column. */
class Columns {
  readonly epochs = new Places<number>();
  readonly accounts = new Places<string>();
  readonly leases = new Places<string>();
  readonly keys = new Places<string>();
  readonly shapes = new Places<string>();
  readonly cells = Object.fromEntries(columns.map((name) => [name, []])) as unknown as Record<Column, Cell[]>;

  add(bookable: BookableRecord): void {
    const { epoch, record, payloadHash } = bookable.spooled;
    const { cells } = this;
    cells.epoch.push(this.epochs.of(epoch));
    cells.seq.push(record.seq);
    cells.hash.push(BigInt.asIntN(32, payloadHash));
    cells.account.push(this.accounts.of(record.accountId));
    cells.lease.push(this.leases.of(record.leaseId));
    if (record.type === "usage") this.addUsage(record, bookable);
    else this.addClose(record.settledMicroTokens);
  }

  private addUsage(record: UsageRecord, { cost, hold, chargeMismatch }: BookableRecord): void {
    const { cells } = this;
    const request = idToUuid(record.requestId);
    cells.request.push(request);
    cells.key.push(this.keys.of(record.keyId));
    cells.shape.push(this.shapes.of(shapeOf(record, chargeMismatch)));
    cells.cost.push(cost);
    cells.hold.push(hold);
    cells.leaseSettled.push(null);
    cells.startOffset.push(Date.parse(record.startedAt) - uuidMs(request));
    cells.duration.push(record.durationMs);
    cells.firstByte.push(record.firstByteMs);
    cells.input.push(record.tokens.input);
    cells.output.push(record.tokens.output);
    cells.cachedInput.push(record.tokens.cachedInput);
    cells.cacheWrite.push(record.tokens.cacheWrite);
    cells.cacheWrite1h.push(record.tokens.cacheWrite1h);
    cells.reasoning.push(record.tokens.reasoning);
    cells.images.push(record.images?.count ?? null);
    cells.audio.push(record.audioMs);
  }

  private addClose(settled: bigint): void {
    const { cells } = this;
    for (const name of ["request", "cost", "hold", "firstByte", "images"] as const) cells[name].push(null);
    for (const name of zeroOfClose) cells[name].push(0);
    cells.leaseSettled.push(settled);
  }
}

const zeroOfClose = [
  "key",
  "shape",
  "startOffset",
  "duration",
  "input",
  "output",
  "cachedInput",
  "cacheWrite",
  "cacheWrite1h",
  "reasoning",
  "audio",
] as const;

/** The time in a UUIDv7. */
function uuidMs(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

/** In the order in which usage_shape_no() of the migrations reads it, but for the price version, which is an id here. */
function shapeOf(record: UsageRecord, chargeMismatch: boolean): string {
  return JSON.stringify([
    record.priceVersion,
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

function toDbShape(shape: string): string {
  const [priceVersion, ...others] = JSON.parse(shape) as [string, ...unknown[]];
  return JSON.stringify([idToUuid(priceVersion), ...others]);
}

const typed = {
  integer: (text: string) => sql`${text}::integer[]`,
  bigint: (text: string) => sql`${text}::bigint[]`,
  uuid: (text: string) => sql`${text}::uuid[]`,
} as const;

/** Numbers and uuids only, so nothing needs quoting. */
function arrayText(cells: readonly Cell[]): string {
  let text = "";
  for (const cell of cells) text += `,${cell === null ? "NULL" : String(cell)}`;
  return `{${text.slice(1)}}`;
}

/** The arguments of `apply_batch` from p_epochs to p_audio. Records must differ in (epoch, seq). */
export function toDbUsageArrays(records: readonly BookableRecord[]): RawBuilder<unknown> {
  const batch = new Columns();
  for (const record of records) batch.add(record);
  const arrays = columns.map((name) => typed[types[name]](arrayText(batch.cells[name])));
  const uuids = (ids: Places<string>): RawBuilder<unknown> =>
    sql`${arrayText(ids.values.map((id) => idToUuid(id)))}::uuid[]`;
  return sql`${arrayText(batch.epochs.values)}::bigint[], ${uuids(batch.accounts)}, ${uuids(batch.leases)},
    ${uuids(batch.keys)}, ${`[${batch.shapes.values.map(toDbShape).join(",")}]`}::jsonb, ${sql.join(arrays)}`;
}
