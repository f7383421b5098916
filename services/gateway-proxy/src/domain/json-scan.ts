import { AppError } from "@codex/kernel";
import { isAscii } from "node:buffer";

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

/** Names of one object so far; undefined in an array. Of few names a list is quicker than a set. */
type Names = string[] | Set<string> | undefined;
const listedNamesMax = 16;

function malformed(publicMessage: string): AppError {
  return new AppError({ kind: "invalid", code: "malformed_json", publicMessage });
}

/** Throws AppError `malformed_json`. For anything but an object the list is empty. */
export function scanJson(bytes: Buffer, limits: JsonLimits): readonly Member[] {
  return new Scan(bytes, bytes.toString("latin1"), limits).run();
}

/**
 * Both at once: the value and where its outermost members are. Throws AppError `malformed_json`, and a SyntaxError for what is no
 * JSON. Bytes that are no UTF-8 become U+FFFD.
 */
export function readJson(bytes: Buffer, limits: JsonLimits): JsonDocument {
  const text = bytes.toString("latin1");
  const members = new Scan(bytes, text, limits).run();
  // What is ASCII is the same text in both encodings.
  const value: unknown = JSON.parse(isAscii(bytes) ? text : bytes.toString("utf8"));
  return { bytes, members, value };
}

/** Goes over one letter for each byte: code units of a string are read several times as fast as bytes of a Buffer. */
class Scan {
  private readonly bytes: Buffer;
  private readonly text: string;
  private readonly limits: JsonLimits;
  private readonly outer: Names[] = [];
  private names: Names;
  private depth = 0;
  private expectsName = false;
  private readonly members: Member[] = [];
  private name: { readonly text: string; readonly start: number } | undefined;
  private valueStart = 0;
  private keys = 0;
  private values = 0;

  constructor(bytes: Buffer, text: string, limits: JsonLimits) {
    this.bytes = bytes;
    this.text = text;
    this.limits = limits;
  }

  run(): readonly Member[] {
    const { text } = this;
    for (let at = 0; at < text.length;) at = this.token(at, text.charCodeAt(at));
    return this.members;
  }

  /** Returns where the next token begins. */
  private token(at: number, code: number): number {
    switch (code) {
      case quote:
        return this.quoted(at);
      case comma:
        if (this.names) {
          this.endMember(at);
          this.expectsName = true;
        }
        return at + 1;
      case colon:
        if (this.depth === 1) this.valueStart = this.skipSpace(at + 1);
        return at + 1;
      case openBrace:
        this.open([]);
        this.expectsName = true;
        return at + 1;
      case openBracket:
        this.open(undefined);
        this.expectsName = false;
        return at + 1;
      case closeBrace:
      case closeBracket:
        this.endMember(at);
        this.close();
        return at + 1;
      default:
        return isSpace(code) ? at + 1 : this.scalar(at);
    }
  }

  private open(names: Names): void {
    this.value();
    this.outer.push(this.names);
    this.names = names;
    this.depth += 1;
    if (this.depth > this.limits.depthMax) {
      throw malformed(`The body is nested deeper than ${this.limits.depthMax} levels.`);
    }
  }

  private close(): void {
    if (this.depth === 0) return;
    this.depth -= 1;
    this.names = this.outer.pop();
    // What follows a value is no name, before the next comma.
    this.expectsName = false;
  }

  private value(): void {
    this.values += 1;
    if (this.values > this.limits.valuesMax) {
      throw malformed(`The body has more than ${this.limits.valuesMax} values.`);
    }
  }

  private quoted(at: number): number {
    const end = this.endOfText(at + 1);
    if (!this.expectsName) {
      this.value();
      return end;
    }
    this.expectsName = false;
    this.keys += 1;
    if (this.keys > this.limits.keysMax) throw malformed(`The body has more than ${this.limits.keysMax} keys.`);
    this.add(this.nameAt(at, end));
    return end;
  }

  private add(name: string): void {
    const { names } = this;
    if (names instanceof Set ? names.has(name) : names?.includes(name)) {
      throw malformed(`The body has the key '${name.slice(0, 64)}' twice in the same object.`);
    }
    if (names instanceof Set) names.add(name);
    else if (names && names.push(name) > listedNamesMax) this.names = new Set(names);
  }

  private endMember(at: number): void {
    if (this.depth !== 1 || !this.name) return;
    let end = at;
    while (end > this.valueStart && isSpace(this.text.charCodeAt(end - 1))) end -= 1;
    this.members.push({ name: this.name.text, start: this.name.start, valueStart: this.valueStart, end });
    this.name = undefined;
  }

  /** Escapes are resolved, because "mod\u0065l" and "model" are the same name. */
  private nameAt(at: number, end: number): string {
    const letters = this.text.slice(at + 1, Math.max(at + 1, end - 1));
    const isPlain = plainName.test(letters);
    const name = isPlain ? letters : this.resolved(at, end);
    // A copy: a part of a string keeps the whole of it alive, for as long as the member.
    if (this.depth === 1)
      this.name = { text: isPlain ? this.bytes.toString("latin1", at + 1, end - 1) : name, start: at };
    return name;
  }

  private resolved(at: number, end: number): string {
    const quotedName = this.bytes.toString("utf8", at, end);
    if (!quotedName.includes("\\")) return quotedName.slice(1, -1);
    try {
      return String(JSON.parse(quotedName));
    } catch {
      throw malformed("We could not parse the JSON body of your request.");
    }
  }

  /** Behind the closing quote; the end of the text when there is none. */
  private endOfText(from: number): number {
    const { text } = this;
    for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
      let first = at;
      while (first > from && text.charCodeAt(first - 1) === backslash) first -= 1;
      if ((at - first) % 2 === 0) return at + 1;
    }
    return text.length;
  }

  private skipSpace(from: number): number {
    let at = from;
    while (isSpace(this.text.charCodeAt(at))) at += 1;
    return at;
  }

  /** A number or a literal. 1e309 parses to infinity, which no upstream and no check of ours expects. */
  private scalar(at: number): number {
    this.value();
    const { text } = this;
    let end = at + 1;
    let exponent = false;
    for (; end < text.length; end += 1) {
      const code = text.charCodeAt(end);
      if (code === comma || code === closeBrace || code === closeBracket || isSpace(code)) break;
      // A quote or an opening bracket here is no JSON; it must not be passed over.
      if (code === quote || code === openBrace || code === openBracket || code === colon) break;
      exponent ||= code === 0x65 || code === 0x45;
    }
    const first = text.charCodeAt(at);
    const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
    if (isNumber && (exponent || end - at > 300) && !Number.isFinite(Number(text.slice(at, end)))) {
      throw malformed("The body has a number that is not finite.");
    }
    return end;
  }
}

/** Printable ASCII without a backslash. */
const plainName = /^[ -[\]-~]*$/;

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
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
  const pieces: (string | Stretch)[] = [];
  let stretch: Stretch | undefined;
  let changed = false;
  for (const { name, start, valueStart, end } of members) {
    if (!changes.has(name)) {
      // What stands between two that are kept is kept with them.
      if (stretch) stretch.end = end;
      else pieces.push((stretch = { start, end }));
      continue;
    }
    stretch = undefined;
    changed = true;
    const value = changes.get(name);
    if (value !== undefined) pieces.push(bytes.toString("utf8", start, valueStart) + value);
  }
  for (const [name, value] of changes) {
    if (value === undefined || members.some((member) => member.name === name)) continue;
    changed = true;
    pieces.push(`${JSON.stringify(name)}:${value}`);
  }
  return changed ? joined(bytes, pieces) : bytes;
}

/** Bytes of the document that stay. */
interface Stretch {
  readonly start: number;
  end: number;
}

function joined(bytes: Buffer, pieces: readonly (string | Stretch)[]): Buffer {
  let size = 1 + Math.max(1, pieces.length);
  for (const piece of pieces) size += typeof piece === "string" ? Buffer.byteLength(piece) : piece.end - piece.start;
  const whole = Buffer.allocUnsafe(size);
  let at = 0;
  for (const piece of pieces) {
    whole[at] = at === 0 ? openBrace : comma;
    at += 1;
    at += typeof piece === "string" ? whole.write(piece, at, "utf8") : bytes.copy(whole, at, piece.start, piece.end);
  }
  if (at === 0) whole[at++] = openBrace;
  whole[at] = closeBrace;
  return whole;
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
