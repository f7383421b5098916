import { usagePartitions, type UsageRecord } from "@codex/contracts";
import { idToUuid, uuidTimeMs } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { BatchPosition, BookableRecord } from "../app/ports.ts";

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
  stream: "integer",
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

/** What a batch becomes: lists of what repeats, and the text of an array for each column. */
class Columns {
  readonly streams = new Places<number>();
  readonly accounts = new Places<string>();
  readonly leases = new Places<string>();
  readonly keys = new Places<string>();
  readonly shapes = new Places<string>();
  /** Each cell behind a comma: text that grows is cheaper than a list that is joined. */
  readonly cells = Object.fromEntries(columns.map((name) => [name, ""])) as Record<Column, string>;

  add(bookable: BookableRecord): void {
    const { epoch, partition, record, payloadHash } = bookable.spooled;
    const { cells } = this;
    cells.stream += `,${this.streams.of(epoch * usagePartitions + partition)}`;
    cells.seq += `,${record.seq}`;
    cells.hash += `,${BigInt.asIntN(32, payloadHash)}`;
    cells.account += `,${this.accounts.of(record.accountId)}`;
    cells.lease += `,${this.leases.of(record.leaseId)}`;
    if (record.type === "usage") this.addUsage(record, bookable);
    else this.addClose(record.settledMicroTokens);
  }

  private addUsage(record: UsageRecord, { cost, hold, chargeMismatch }: BookableRecord): void {
    const { cells } = this;
    const { tokens } = record;
    const request = idToUuid(record.requestId);
    cells.request += `,${request}`;
    cells.key += `,${this.keys.of(record.keyId)}`;
    cells.shape += `,${this.shapes.of(shapeOf(record, chargeMismatch))}`;
    cells.cost += `,${cost}`;
    cells.hold += `,${hold}`;
    cells.leaseSettled += ",NULL";
    cells.startOffset += `,${Date.parse(record.startedAt) - uuidTimeMs(request)}`;
    cells.duration += `,${record.durationMs}`;
    cells.firstByte += `,${record.firstByteMs ?? "NULL"}`;
    cells.input += `,${tokens.input}`;
    cells.output += `,${tokens.output}`;
    cells.cachedInput += `,${tokens.cachedInput}`;
    cells.cacheWrite += `,${tokens.cacheWrite}`;
    cells.cacheWrite1h += `,${tokens.cacheWrite1h}`;
    cells.reasoning += `,${tokens.reasoning}`;
    cells.images += `,${record.images?.count ?? "NULL"}`;
    cells.audio += `,${record.audioMs}`;
  }

  private addClose(settled: bigint): void {
    const { cells } = this;
    for (const name of ["request", "cost", "hold", "firstByte", "images"] as const) cells[name] += ",NULL";
    for (const name of zeroOfClose) cells[name] += ",0";
    cells.leaseSettled += `,${settled}`;
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

/** The arguments of `apply_batch` from p_streams to p_audio. Records must differ in (epoch, partition, seq). */
export function toDbUsageArrays(records: readonly BookableRecord[]): RawBuilder<unknown> {
  const batch = new Columns();
  for (const record of records) batch.add(record);
  const arrays = columns.map((name) => typed[types[name]](`{${batch.cells[name].slice(1)}}`));
  const uuids = (ids: Places<string>): RawBuilder<unknown> =>
    sql`${arrayText(ids.values.map((id) => idToUuid(id)))}::uuid[]`;
  return sql`${arrayText(batch.streams.values)}::bigint[], ${uuids(batch.accounts)}, ${uuids(batch.leases)},
    ${uuids(batch.keys)}, ${`[${batch.shapes.values.map(toDbShape).join(",")}]`}::jsonb, ${sql.join(arrays)}`;
}

/** The arguments from p_partitions to p_floors, in the order in which the locks are taken. */
export function toDbPositions(positions: readonly BatchPosition[]): RawBuilder<unknown> {
  const sorted = positions.toSorted((a, b) => a.partition - b.partition);
  return sql`${arrayText(sorted.map(({ partition }) => partition))}::smallint[],
    ${arrayText(sorted.map(({ term }) => term))}::bigint[], ${arrayText(sorted.map(({ floor }) => floor))}::bigint[]`;
}
