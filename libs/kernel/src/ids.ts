import { randomFillSync } from "node:crypto";

/**
 * Glossary
 *   id    `<prefix>_<26 characters>`: a UUIDv7 (RFC 9562 §5.7) in Crockford base32, lower case — the TypeID form
 *         (https://github.com/jetify-com/typeid, spec v0.3). Ids of one prefix sort by creation time.
 *   uuid  the same 128 bits in the canonical hyphenated form, as Postgres `uuid` columns hold them.
 */

export type IdPrefix =
  | "acc" // account
  | "ses" // browser session
  | "key" // API key
  | "req" // one gateway request, from header to receipt
  | "evt" // bus event
  | "led" // ledger account
  | "trf" // ledger transfer
  | "lse" // budget lease
  | "ppl" // operator's proposal that waits for a second operator
  | "dsp" // dispute of a request
  | "act" // operator's act, as the audit log keeps it
  | "prc" // price version
  | "chn" // upstream channel
  | "upk" // key of an upstream channel
  | "img" // image asset
  | "cmp" // bonus campaign
  | "vcb" // batch of vouchers
  | "job"; // background job

export type Id<P extends IdPrefix> = `${P}_${string}` & { readonly __id: P };

export type AccountId = Id<"acc">;
export type SessionId = Id<"ses">;
export type KeyId = Id<"key">;
export type RequestId = Id<"req">;
export type EventId = Id<"evt">;
export type LeaseId = Id<"lse">;
export type TransferId = Id<"trf">;
export type ChannelId = Id<"chn">;
export type UpstreamKeyId = Id<"upk">;
export type ImageId = Id<"img">;
export type VoucherBatchId = Id<"vcb">;
export type ProposalId = Id<"ppl">;
export type DisputeId = Id<"dsp">;

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const decodeTable = new Map<string, bigint>(Array.from(alphabet, (letter, index) => [letter, BigInt(index)]));

const randomPool = Buffer.alloc(4096);
let poolOffset = randomPool.length;
let lastMs = 0;
let counter = 0;

/**
 * 128 bits of UUIDv7. Within one process ids never go backwards: the 12-bit field after the millisecond is a counter
 * (RFC 9562 §6.2, method 1); when it overflows, the time field runs ahead by a millisecond.
 */
function uuidv7Bits(nowMs: number): bigint {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  if (poolOffset + 8 > randomPool.length) {
    randomFillSync(randomPool);
    poolOffset = 0;
  }
  const random = randomPool.readBigUInt64BE(poolOffset) & 0x3fff_ffff_ffff_ffffn;
  poolOffset += 8;
  return (BigInt(lastMs) << 80n) | (0x7n << 76n) | (BigInt(counter) << 64n) | (0x2n << 62n) | random;
}

function encodeBase32(bits: bigint): string {
  let rest = bits;
  let text = "";
  for (let index = 0; index < 26; index += 1) {
    text = (alphabet[Number(rest & 31n)] ?? "") + text;
    rest >>= 5n;
  }
  return text;
}

function decodeBase32(text: string): bigint | undefined {
  if (text.length !== 26 || (text[0] ?? "8") > "7") return undefined;
  let bits = 0n;
  for (const letter of text) {
    const value = decodeTable.get(letter);
    if (value === undefined) return undefined;
    bits = (bits << 5n) | value;
  }
  return bits;
}

/** A fresh id. `nowMs` is for tests and for callers with an injected clock. */
export function newId<P extends IdPrefix>(prefix: P, nowMs: number = Date.now()): Id<P> {
  return `${prefix}_${encodeBase32(uuidv7Bits(nowMs))}` as Id<P>;
}

/** Undefined when the text is not an id of this prefix; never throws, so it is safe on user input. */
export function parseId<P extends IdPrefix>(prefix: P, text: string): Id<P> | undefined {
  if (!text.startsWith(`${prefix}_`)) return undefined;
  return decodeBase32(text.slice(prefix.length + 1)) === undefined ? undefined : (text as Id<P>);
}

/** Value of a letter by its code; 255: no letter of ours. */
const letterValues = new Uint8Array(128).fill(255);
for (const [index, letter] of Array.from(alphabet).entries()) letterValues[letter.charCodeAt(0)] = index;
const hexDigits = "0123456789abcdef";

/**
 * The canonical uuid of an id, for a Postgres `uuid` column. Throws on a malformed id (a defect of the caller). Without bigint,
 * because billing does this some times for every record of usage.
 */
export function idToUuid(id: string): string {
  const start = id.indexOf("_") + 1;
  if (id.length - start !== 26) throw new Error("malformed id");
  let uuid = "";
  let bits = 0;
  let held = -2;
  let seen = 0;
  for (let index = start; index < id.length; index += 1) {
    const value = letterValues[id.charCodeAt(index)] ?? 255;
    if (value === 255 || (index === start && value > 7)) throw new Error("malformed id");
    bits = ((bits & 0xf) << 5) | value;
    held += 5;
    while (held >= 4) {
      held -= 4;
      if (seen === 8 || seen === 12 || seen === 16 || seen === 20) uuid += "-";
      uuid += hexDigits[(bits >> held) & 0xf] ?? "";
      seen += 1;
    }
  }
  return uuid;
}

/** The 16 bytes of an id's uuid, as Postgres takes a `uuid` in binary. Throws on a malformed id (a defect of the caller). */
export function writeIdBytes(id: string, target: Uint8Array, offset: number): void {
  const start = id.indexOf("_") + 1;
  if (id.length - start !== 26) throw new Error("malformed id");
  let bits = 0;
  let held = -2;
  let at = offset;
  for (let index = start; index < id.length; index += 1) {
    const value = letterValues[id.charCodeAt(index)] ?? 255;
    if (value === 255 || (index === start && value > 7)) throw new Error("malformed id");
    bits = ((bits & 0xff) << 5) | value;
    held += 5;
    if (held >= 8) {
      held -= 8;
      target[at] = (bits >> held) & 0xff;
      at += 1;
    }
  }
}

/** The inverse of {@link idToUuid}. */
export function uuidToId<P extends IdPrefix>(prefix: P, uuid: string): Id<P> {
  return `${prefix}_${encodeBase32(BigInt(`0x${uuid.replaceAll("-", "")}`))}` as Id<P>;
}

/** When an id was made, in milliseconds since 1970: the first 48 bits of its UUIDv7 (RFC 9562 §5.7). */
export function idTimeMs(id: string): number {
  const start = id.indexOf("_") + 1;
  // Ten letters are 50 bits, of which the two that pad the first letter are zero.
  let ms = 0;
  for (let index = start; index < start + 10; index += 1) ms = ms * 32 + (letterValues[id.charCodeAt(index)] ?? 0);
  return ms;
}
