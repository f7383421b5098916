import { AppError } from "@codex/kernel";

/**
 * What a JSON parser does not tell: names that stand twice in an object, how deep and wide the document is, and where the
 * members of its outermost object are, so that one of them can be replaced and every other byte left as it came.
 *
 * One pass over the bytes before `JSON.parse`, which then refuses what is no JSON; strings are skipped by a native search.
 * Bounds of SEC-86. A parser takes the last of two equal names (SEC-98), and who reads the bytes after us may take the
 * first: such a document is refused, whatever the depth.
 */

export interface Member {
  readonly name: string;
  /** Of the name's opening quote. */
  readonly start: number;
  readonly valueStart: number;
  /** Behind the value. */
  readonly end: number;
}

export interface JsonLimits {
  readonly depthMax: number;
  /** Names in all objects together. */
  readonly keysMax: number;
  /** Strings, numbers, literals, arrays and objects together. */
  readonly valuesMax: number;
}

/**
 * Of a request. The longest agent conversations hold some thousand content blocks of five to ten names each; a million
 * names block the event loop for more than a second (security.md, SEC-86).
 */
export const requestLimits: JsonLimits = { depthMax: 64, keysMax: 100_000, valuesMax: 1_000_000 };

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

interface Open {
  /** Undefined in an array. */
  readonly names: Set<string> | undefined;
  expectsName: boolean;
}

function malformed(publicMessage: string): AppError {
  return new AppError({ kind: "invalid", code: "malformed_json", publicMessage });
}

/** Throws AppError `malformed_json`. For anything but an object the list is empty. */
export function scanJson(bytes: Buffer, limits: JsonLimits): readonly Member[] {
  return new Scan(bytes, limits).run();
}

class Scan {
  private readonly bytes: Buffer;
  private readonly limits: JsonLimits;
  private readonly stack: Open[] = [];
  private readonly members: Member[] = [];
  private name: { readonly text: string; readonly start: number } | undefined;
  private valueStart = 0;
  private keys = 0;
  private values = 0;

  constructor(bytes: Buffer, limits: JsonLimits) {
    this.bytes = bytes;
    this.limits = limits;
  }

  run(): readonly Member[] {
    const { bytes } = this;
    let at = 0;
    while (at < bytes.length) at = this.token(at, bytes[at] ?? 0);
    return this.members;
  }

  /** Returns where the next token begins. */
  private token(at: number, byte: number): number {
    switch (byte) {
      case quote:
        return this.text(at);
      case openBrace:
        this.open({ names: new Set(), expectsName: true });
        return at + 1;
      case openBracket:
        this.open({ names: undefined, expectsName: false });
        return at + 1;
      case closeBrace:
      case closeBracket:
        this.endMember(at);
        this.stack.pop();
        return at + 1;
      case comma:
        this.comma(at);
        return at + 1;
      case colon:
        if (this.stack.length === 1) this.valueStart = skipSpace(this.bytes, at + 1);
        return at + 1;
      default:
        return isSpace(byte) ? at + 1 : this.scalar(at);
    }
  }

  private open(inner: Open): void {
    this.value();
    this.stack.push(inner);
    if (this.stack.length > this.limits.depthMax) {
      throw malformed(`The body is nested deeper than ${this.limits.depthMax} levels.`);
    }
  }

  private value(): void {
    this.values += 1;
    if (this.values > this.limits.valuesMax) {
      throw malformed(`The body has more than ${this.limits.valuesMax} values.`);
    }
  }

  private text(at: number): number {
    const end = endOfText(this.bytes, at + 1);
    const inner = this.stack.at(-1);
    if (!inner?.expectsName || !inner.names) {
      this.value();
      return end;
    }
    inner.expectsName = false;
    this.keys += 1;
    if (this.keys > this.limits.keysMax) throw malformed(`The body has more than ${this.limits.keysMax} keys.`);
    const name = nameOf(this.bytes.subarray(at, end));
    if (inner.names.has(name)) {
      throw malformed(`The body has the key '${name.slice(0, 64)}' twice in the same object.`);
    }
    inner.names.add(name);
    if (this.stack.length === 1) this.name = { text: name, start: at };
    return end;
  }

  private comma(at: number): void {
    const inner = this.stack.at(-1);
    if (!inner?.names) return;
    this.endMember(at);
    inner.expectsName = true;
  }

  private endMember(at: number): void {
    if (this.stack.length !== 1 || !this.name) return;
    let end = at;
    while (end > this.valueStart && isSpace(this.bytes[end - 1] ?? 0)) end -= 1;
    this.members.push({ name: this.name.text, start: this.name.start, valueStart: this.valueStart, end });
    this.name = undefined;
  }

  /** A number or a literal. 1e309 parses to infinity, which no upstream and no check of ours expects. */
  private scalar(at: number): number {
    this.value();
    const { bytes } = this;
    let end = at + 1;
    let exponent = false;
    for (; end < bytes.length; end += 1) {
      const byte = bytes[end] ?? 0;
      if (byte === comma || byte === closeBrace || byte === closeBracket || isSpace(byte)) break;
      // A quote or an opening bracket here is no JSON; it must not be passed over.
      if (byte === quote || byte === openBrace || byte === openBracket || byte === colon) break;
      exponent ||= byte === 0x65 || byte === 0x45;
    }
    const first = bytes[at] ?? 0;
    const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
    if (isNumber && (exponent || end - at > 300) && !Number.isFinite(Number(bytes.toString("latin1", at, end)))) {
      throw malformed("The body has a number that is not finite.");
    }
    return end;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at] ?? 0)) at += 1;
  return at;
}

/** Behind the closing quote; the end of the bytes when there is none. */
function endOfText(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(quote, from); at >= 0; at = bytes.indexOf(quote, at + 1)) {
    let first = at;
    while (first > from && bytes[first - 1] === backslash) first -= 1;
    if ((at - first) % 2 === 0) return at + 1;
  }
  return bytes.length;
}

/** Escapes are resolved, because "mod\u0065l" and "model" are the same name. */
function nameOf(quoted: Buffer): string {
  if (!quoted.includes(backslash)) return quoted.toString("utf8", 1, Math.max(1, quoted.length - 1));
  try {
    return String(JSON.parse(quoted.toString("utf8")));
  } catch {
    throw malformed("We could not parse the JSON body of your request.");
  }
}

/**
 * The document with some of its outermost members replaced (JSON text), added or, when undefined, left out; the bytes of
 * all others stay as they are. Without a change the very same bytes.
 */
export function withMembers(
  bytes: Buffer,
  members: readonly Member[],
  changes: ReadonlyMap<string, string | undefined>,
): Buffer {
  const named = new Set(members.map(({ name }) => name));
  const changed = [...changes].some(([name, value]) => value !== undefined || named.has(name));
  if (!changed) return bytes;
  const kept = members.flatMap((member) => {
    if (!changes.has(member.name)) return [bytes.subarray(member.start, member.end)];
    const value = changes.get(member.name);
    return value === undefined ? [] : [Buffer.from(`${JSON.stringify(member.name)}:${value}`)];
  });
  const added = [...changes].flatMap(([name, value]) =>
    named.has(name) || value === undefined ? [] : [Buffer.from(`${JSON.stringify(name)}:${value}`)],
  );
  const separator = Buffer.from(",");
  const joined = [...kept, ...added].flatMap((piece, index) => (index === 0 ? [piece] : [separator, piece]));
  return Buffer.concat([Buffer.from("{"), ...joined, Buffer.from("}")]);
}

/** A JSON object in its bytes and as a value. */
export interface JsonDocument {
  readonly bytes: Buffer;
  readonly members: readonly Member[];
  readonly value: unknown;
}

/**
 * The document with the outermost members that `fields` has: what is the very same value in both stays as it came, byte for
 * byte; the rest is written anew. `fields` must come from a shallow copy of the document's value.
 */
export function withFields({ bytes, members, value }: JsonDocument, fields: Readonly<Record<string, unknown>>): Buffer {
  const before = value as Readonly<Record<string, unknown>>;
  const changes = new Map<string, string | undefined>();
  for (const { name } of members) if (!Object.hasOwn(fields, name)) changes.set(name, undefined);
  for (const [name, field] of Object.entries(fields)) {
    if (!Object.hasOwn(before, name) || before[name] !== field) changes.set(name, JSON.stringify(field));
  }
  return withMembers(bytes, members, changes);
}
