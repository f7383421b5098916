/**
 * An array parameter in Postgres' binary form, which neither side has to write or read as text: for thousands of elements.
 * node-postgres sends a Buffer as a binary parameter, so the statement has to name the type: `${array}::bigint[]`.
 * Layout: dimensions, whether there are nulls, element type, then length and lower bound of the dimension, then each element
 * behind its length, −1 for null (array_recv in src/backend/utils/adt/arrayfuncs.c of PostgreSQL 18, read 2026-11).
 */

const elements = {
  smallint: { oid: 21, bytes: 2 },
  integer: { oid: 23, bytes: 4 },
  bigint: { oid: 20, bytes: 8 },
  uuid: { oid: 2950, bytes: 16 },
} as const;

export type BinaryElement = keyof typeof elements;

const headerBytes = 20;
const two32 = 2 ** 32;

/** Of one dimension, of at most `capacity` elements; more is a RangeError of the Buffer. */
export class BinaryArray {
  private readonly buffer: Buffer;
  private readonly type: BinaryElement;
  private at = headerBytes;
  private count = 0;
  private nulls = 0;
  private values = 0;

  constructor(type: BinaryElement, capacity: number) {
    this.type = type;
    this.buffer = Buffer.allocUnsafe(headerBytes + capacity * (4 + elements[type].bytes));
  }

  pushNull(): void {
    this.at = this.buffer.writeInt32BE(-1, this.at);
    this.count += 1;
    this.nulls = 1;
  }

  /** A whole number in the range of the type; for bigint a safe one. Throws a RangeError otherwise. */
  push(value: number): void {
    const start = this.begin();
    if (this.type === "integer") this.buffer.writeInt32BE(value, start);
    else if (this.type === "smallint") this.buffer.writeInt16BE(value, start);
    else this.writeSafe(value, start);
  }

  /** For bigint alone. Throws a RangeError outside of 64 bits. */
  pushBig(value: bigint): void {
    this.buffer.writeBigInt64BE(value, this.begin());
  }

  /** For uuid alone: `write` puts 16 bytes at the offset. */
  pushBytes(write: (target: Buffer, offset: number) => void): void {
    write(this.buffer, this.begin());
  }

  /** Whether any element is not null. */
  get hasValues(): boolean {
    return this.values > 0;
  }

  /** The parameter. Call once, at the end. */
  done(): Buffer {
    this.buffer.writeInt32BE(this.count === 0 ? 0 : 1, 0);
    this.buffer.writeInt32BE(this.nulls, 4);
    this.buffer.writeInt32BE(elements[this.type].oid, 8);
    if (this.count === 0) return this.buffer.subarray(0, 12);
    this.buffer.writeInt32BE(this.count, 12);
    this.buffer.writeInt32BE(1, 16);
    return this.buffer.subarray(0, this.at);
  }

  private begin(): number {
    const { bytes } = elements[this.type];
    const start = this.buffer.writeInt32BE(bytes, this.at);
    this.at = start + bytes;
    this.count += 1;
    this.values += 1;
    return start;
  }

  private writeSafe(value: number, start: number): void {
    if (this.type !== "bigint" || !Number.isSafeInteger(value))
      throw new RangeError(`${String(value)} is no ${this.type}`);
    this.buffer.writeInt32BE(Math.floor(value / two32), start);
    this.buffer.writeUInt32BE(value >>> 0, start + 4);
  }
}
