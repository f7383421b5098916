import { isObject, type DialectName, type JsonObject } from "./dialect.ts";
import type { HintName } from "./hints.ts";
import { RefusedError, type RefusalKind } from "./refusal.ts";

/** What every reader and writer of one conversion shares. */
export interface ConversionContext {
  readonly from: DialectName;
  readonly to: DialectName;
  readonly dropped: Set<HintName>;
}

/** A value with its place, not yet believed to be of any type. */
export interface Spot {
  readonly value: unknown;
  readonly path: string;
}

const nameLengthMax = 64;

export function spotOf(value: unknown, path: string): Spot {
  return { value, path };
}

export function below(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${String(name)}]`;
  const short = name.slice(0, nameLengthMax);
  return path === "" ? short : `${path}.${short}`;
}

/**
 * Reads an object field by field and remembers which: {@link done} refuses the rest by name. Null counts as absent, as
 * SDKs send it for "not set". All methods throw {@link RefusedError}.
 */
export class Fields {
  readonly path: string;
  /** Of the refusals of this object's fields. */
  readonly kind: RefusalKind;
  private readonly object: JsonObject;
  private readonly context: ConversionContext;
  private readonly read = new Set<string>();

  constructor(context: ConversionContext, spot: Spot, kind: RefusalKind = "invalid") {
    if (!isObject(spot.value)) throw new RefusedError(kind, spot.path, `${named(spot.path)} must be an object.`);
    this.object = spot.value;
    this.path = spot.path;
    this.kind = kind;
    this.context = context;
  }

  at(name: string): string {
    return below(this.path, name);
  }

  value(name: string): unknown {
    this.read.add(name);
    const value = Object.hasOwn(this.object, name) ? this.object[name] : undefined;
    return value === null ? undefined : value;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.object, name) && this.object[name] != null;
  }

  spot(name: string): Spot | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : { value, path: this.at(name) };
  }

  text(name: string): string | undefined {
    return this.typed(name, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  needText(name: string): string {
    return this.need(name, this.text(name));
  }

  flag(name: string): boolean | undefined {
    return this.typed(name, "a boolean", (value) => (typeof value === "boolean" ? value : undefined));
  }

  number(name: string, min: number, max: number): number | undefined {
    return this.typed(name, `a number from ${String(min)} to ${String(max)}`, (value) =>
      typeof value === "number" && value >= min && value <= max ? value : undefined,
    );
  }

  integer(name: string, min: number, max: number): number | undefined {
    return this.typed(name, `an integer from ${String(min)} to ${String(max)}`, (value) =>
      typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined,
    );
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    return this.typed(name, `one of ${allowed.join(", ")}`, (value) => allowed.find((word) => word === value));
  }

  list(name: string): Spot[] | undefined {
    const path = this.at(name);
    return this.typed(name, "an array", (value) =>
      Array.isArray(value)
        ? value.map((entry: unknown, index) => ({ value: entry, path: below(path, index) }))
        : undefined,
    );
  }

  texts(name: string): string[] | undefined {
    return this.list(name)?.map(({ value, path }) => {
      if (typeof value === "string") return value;
      throw new RefusedError(this.kind, path, `${named(path)} must be a string.`);
    });
  }

  json(name: string): JsonObject | undefined {
    return this.typed(name, "an object", (value) => (isObject(value) ? value : undefined));
  }

  fields(name: string): Fields | undefined {
    const spot = this.spot(name);
    return spot === undefined ? undefined : new Fields(this.context, spot, this.kind);
  }

  need<T>(name: string, value: T | undefined): T {
    if (value === undefined) throw new RefusedError(this.kind, this.at(name), `${named(this.at(name))} is required.`);
    return value;
  }

  /** Leaves a field out, by the table of hints. */
  hint(name: HintName, ...fields: readonly string[]): void {
    for (const field of fields) if (this.value(field) !== undefined) this.context.dropped.add(name);
  }

  /** Refuses fields that no other dialect has. */
  unsupported(...fields: readonly string[]): void {
    for (const field of fields) {
      if (this.value(field) !== undefined) throw cannotSay(this.context, this.at(field));
    }
  }

  /** Refuses every field that was not read. */
  done(): void {
    for (const name of Object.keys(this.object)) {
      if (this.read.has(name) || this.object[name] === null) continue;
      const path = this.at(name);
      throw new RefusedError(this.kind, path, `${named(path)} is not a known field of ${this.context.from}.`);
    }
  }

  private typed<T>(name: string, expected: string, parse: (value: unknown) => T | undefined): T | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const parsed = parse(value);
    if (parsed === undefined) {
      throw new RefusedError(this.kind, this.at(name), `${named(this.at(name))} must be ${expected}.`);
    }
    return parsed;
  }
}

function named(path: string): string {
  return path === "" ? "The body" : `'${path}'`;
}

/** The refusal of what is right in the client's dialect and cannot be said in the provider's. */
export function cannotSay(context: ConversionContext, path: string | undefined, why?: string): RefusedError {
  const place = path ?? "";
  const reason = why === undefined ? "" : `: ${why}`;
  return new RefusedError(
    "unsupported",
    place,
    `${named(place)} cannot be expressed for this model, whose provider speaks ${context.to}${reason}.`,
  );
}

export function malformed(kind: RefusalKind, path: string, expected: string): RefusedError {
  return new RefusedError(kind, path, `${named(path)} must be ${expected}.`);
}

/** The text of a `type` field, for choosing a reader; refuses what has none. */
export function typeOf(context: ConversionContext, spot: Spot, kind: RefusalKind = "invalid"): string {
  return new Fields(context, spot, kind).needText("type");
}

export function unknownType(spot: Spot, type: string, kind: RefusalKind = "invalid"): RefusedError {
  const path = below(spot.path, "type");
  return new RefusedError(kind, path, `'${path}' has the unknown value '${type.slice(0, nameLengthMax)}'.`);
}
