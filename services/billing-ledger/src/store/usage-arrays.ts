import { usagePartitions, type UsageRecord } from "@codex/contracts";
import { BinaryArray, type BinaryElement } from "@codex/db";
import { idTimeMs, idToUuid, writeIdBytes } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { BatchPosition, BookableRecord } from "../app/ports.ts";

/**
 * A batch as the arguments of `apply_batch`: one array a column instead of one object a record, and what repeats within the
 * batch once, in a list that the records point into. In the binary form of Postgres.
 */

/** Values in the order of their first appearance; places count from 1, as Postgres does. */
class Places<T extends number | string> {
  readonly values: T[] = [];
  private readonly places = new Map<T, number>();

  of(value: T): number {
    const known = this.places.get(value);
    if (known !== undefined) return known;
    this.places.set(value, this.values.push(value));
    return this.values.length;
  }
}

/** In the order of the arguments. */
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
} as const satisfies Record<string, BinaryElement>;
type Column = keyof typeof types;
const columns = Object.keys(types) as readonly Column[];

/** What a batch becomes: lists of what repeats, and an array for each column. */
class Columns {
  readonly streams = new Places<number>();
  readonly accounts = new Places<string>();
  readonly leases = new Places<string>();
  readonly keys = new Places<string>();
  readonly shapes = new Places<string>();
  readonly cells: Readonly<Record<Column, BinaryArray>>;

  constructor(records: number) {
    this.cells = Object.fromEntries(columns.map((name) => [name, new BinaryArray(types[name], records)])) as Record<
      Column,
      BinaryArray
    >;
  }

  add(bookable: BookableRecord): void {
    const { epoch, partition, record, payloadHash } = bookable.spooled;
    const { cells } = this;
    cells.stream.push(this.streams.of(epoch * usagePartitions + partition));
    cells.seq.push(record.seq);
    cells.hash.push(Number(BigInt.asIntN(32, payloadHash)));
    cells.account.push(this.accounts.of(record.accountId));
    cells.lease.push(this.leases.of(record.leaseId));
    if (record.type === "usage") this.addUsage(record, bookable);
    else this.addClose(record.settledMicroTokens);
  }

  private addUsage(record: UsageRecord, { cost, hold, chargeMismatch }: BookableRecord): void {
    const { cells } = this;
    const { tokens } = record;
    cells.request.pushBytes((target, offset) => {
      writeIdBytes(record.requestId, target, offset);
    });
    cells.key.push(this.keys.of(record.keyId));
    cells.shape.push(this.shapes.of(shapeOf(record, chargeMismatch)));
    cells.cost.pushBig(cost);
    cells.hold.pushBig(hold);
    cells.leaseSettled.pushNull();
    cells.startOffset.push(Date.parse(record.startedAt) - idTimeMs(record.requestId));
    cells.duration.push(record.durationMs);
    pushOptional(cells.firstByte, record.firstByteMs);
    cells.input.push(tokens.input);
    cells.output.push(tokens.output);
    cells.cachedInput.push(tokens.cachedInput);
    cells.cacheWrite.push(tokens.cacheWrite);
    cells.cacheWrite1h.push(tokens.cacheWrite1h);
    cells.reasoning.push(tokens.reasoning);
    pushOptional(cells.images, record.images?.count ?? null);
    cells.audio.push(record.audioMs);
  }

  private addClose(settled: bigint): void {
    const { cells } = this;
    for (const name of ["request", "cost", "hold", "firstByte", "images"] as const) cells[name].pushNull();
    for (const name of zeroOfClose) cells[name].push(0);
    cells.leaseSettled.pushBig(settled);
  }
}

function pushOptional(cells: BinaryArray, value: number | null): void {
  if (value === null) cells.pushNull();
  else cells.push(value);
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

/** The statement has to name the type of a binary parameter. */
const typed = {
  smallint: (array: Buffer | null) => sql`${array}::smallint[]`,
  integer: (array: Buffer | null) => sql`${array}::integer[]`,
  bigint: (array: Buffer | null) => sql`${array}::bigint[]`,
  uuid: (array: Buffer | null) => sql`${array}::uuid[]`,
} as const;

function listOf<T>(
  type: BinaryElement,
  values: readonly T[],
  push: (array: BinaryArray, value: T) => void,
): RawBuilder<unknown> {
  const array = new BinaryArray(type, values.length);
  for (const value of values) push(array, value);
  return typed[type](array.done());
}

/** The arguments of `apply_batch` from p_streams to p_audio. Records must differ in (epoch, partition, seq). */
export function toDbUsageArrays(records: readonly BookableRecord[]): RawBuilder<unknown> {
  const batch = new Columns(records.length);
  for (const record of records) batch.add(record);
  const arrays = columns.map((name) => {
    const cells = batch.cells[name];
    // Most batches have no picture and no end of a lease. A subscript of an array with nulls walks over all before it, and one of
    // null is null at once.
    return typed[types[name]](cells.hasValues ? cells.done() : null);
  });
  const streams = listOf("bigint", batch.streams.values, (array, stream) => {
    array.push(stream);
  });
  const uuids = (ids: Places<string>): RawBuilder<unknown> =>
    listOf("uuid", ids.values, (array, id) => {
      array.pushBytes((target, offset) => {
        writeIdBytes(id, target, offset);
      });
    });
  return sql`${streams}, ${uuids(batch.accounts)}, ${uuids(batch.leases)}, ${uuids(batch.keys)},
    ${`[${batch.shapes.values.map(toDbShape).join(",")}]`}::jsonb, ${sql.join(arrays)}`;
}

/** The arguments from p_partitions to p_floors, in the order in which the locks are taken. */
export function toDbPositions(positions: readonly BatchPosition[]): RawBuilder<unknown> {
  const sorted = positions.toSorted((a, b) => a.partition - b.partition);
  const partitions = listOf("smallint", sorted, (array, { partition }) => {
    array.push(partition);
  });
  const terms = listOf("bigint", sorted, (array, { term }) => {
    if (term === null) array.pushNull();
    else array.pushBig(term);
  });
  const floors = listOf("bigint", sorted, (array, { floor }) => {
    pushOptional(array, floor);
  });
  return sql`${partitions}, ${terms}, ${floors}`;
}
