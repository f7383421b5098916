import fc from "fast-check";
import { z } from "zod";

/**
 * Values that a JSON Schema allows, as an arbitrary of fast-check. Only what zod writes into our own documents is understood;
 * what a document cannot say (sums, dates in the future) is not kept, so the service may still refuse such a value, in words.
 */

export interface JsonSchema {
  readonly $ref?: string | undefined;
  readonly $defs?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly type?: string | undefined;
  readonly const?: unknown;
  readonly enum?: readonly unknown[] | undefined;
  readonly anyOf?: readonly JsonSchema[] | undefined;
  readonly oneOf?: readonly JsonSchema[] | undefined;
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly required?: readonly string[] | undefined;
  readonly additionalProperties?: boolean | JsonSchema | undefined;
  readonly propertyNames?: JsonSchema | undefined;
  readonly items?: JsonSchema | undefined;
  readonly minItems?: number | undefined;
  readonly maxItems?: number | undefined;
  readonly minLength?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly pattern?: string | undefined;
  readonly format?: string | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
}

export const jsonSchema: z.ZodType<JsonSchema> = z.lazy(() =>
  z.looseObject({
    $ref: z.string().optional(),
    $defs: z.record(z.string(), jsonSchema).optional(),
    type: z.string().optional(),
    enum: z.array(z.unknown()).optional(),
    anyOf: z.array(jsonSchema).optional(),
    oneOf: z.array(jsonSchema).optional(),
    properties: z.record(z.string(), jsonSchema).optional(),
    required: z.array(z.string()).optional(),
    additionalProperties: z.union([z.boolean(), jsonSchema]).optional(),
    propertyNames: jsonSchema.optional(),
    items: jsonSchema.optional(),
    minItems: z.number().optional(),
    maxItems: z.number().optional(),
    minLength: z.number().optional(),
    maxLength: z.number().optional(),
    pattern: z.string().optional(),
    format: z.string().optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
  }),
);

/** An upstream that an operator may write down, and then read again; nothing listens there. */
export const ownUpstream = "http://127.0.0.1:9/v1";

/** Patterns of these formats use what generating from a pattern cannot: looking ahead. */
const ofFormat: Readonly<Record<string, fc.Arbitrary<string>>> = {
  email: fc.stringMatching(/^[a-z][a-z0-9]{0,20}@[a-z]{1,10}\.example$/),
  uri: fc.constantFrom(ownUpstream, "https://api.example.org/v1", "http://localhost/", "https://[::1]:1/x"),
  "date-time": fc
    .date({ min: new Date(0), max: new Date("2100-01-01T00:00:00Z"), noInvalidDate: true })
    .map((date) => date.toISOString()),
};

const itemsMost = 5;
const lettersMost = 64;
const depthMost = 6;

/** `least`: the fewest fields and the shortest lists, for a value that only has to pass. */
export function valuesOf(schema: JsonSchema, least = false): fc.Arbitrary<unknown> {
  return from(schema, { defs: schema.$defs ?? {}, depth: 0, least });
}

interface Place {
  readonly defs: Readonly<Record<string, JsonSchema>>;
  readonly depth: number;
  readonly least: boolean;
}

function from(schema: JsonSchema, place: Place): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return fromRef(schema.$ref, place);
  if ("const" in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return fc.oneof(...options.map((option) => from(option, place)));
  switch (schema.type) {
    case "object":
      return objects(schema, place);
    case "array":
      return lists(schema, place);
    case "string":
      return texts(schema);
    case "integer":
      return fc.integer({ min: bounded(schema.minimum, -1_000), max: bounded(schema.maximum, 1_000_000) });
    case "number":
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

const bounded = (given: number | undefined, otherwise: number): number =>
  given === undefined ? otherwise : Math.max(-2_147_483_648, Math.min(given, 2_147_483_647));

function fromRef(ref: string, place: Place): fc.Arbitrary<unknown> {
  const found = place.defs[ref.split("/").at(-1) ?? ""];
  if (!found || place.depth > depthMost) return fc.constant(null);
  return from(found, { ...place, depth: place.depth + 1 });
}

function objects(schema: JsonSchema, place: Place): fc.Arbitrary<unknown> {
  const inner = { ...place, depth: place.depth + 1 };
  const { properties = {}, required = [] } = schema;
  const named = Object.entries(properties).filter(([name]) => !place.least || required.includes(name));
  if (named.length === 0 && typeof schema.additionalProperties === "object") {
    const names = schema.propertyNames ? texts(schema.propertyNames) : texts({ maxLength: 20 });
    return fc.dictionary(names, from(schema.additionalProperties, inner), { maxKeys: 3, noNullPrototype: true });
  }
  const model = Object.fromEntries(named.map(([name, value]) => [name, from(value, inner)]));
  const requiredKeys = required.filter((name) => name in model);
  return fc.record(model, { requiredKeys, noNullPrototype: true });
}

function lists(schema: JsonSchema, place: Place): fc.Arbitrary<unknown> {
  const minLength = schema.minItems ?? 0;
  const maxLength = place.least ? minLength : Math.max(minLength, Math.min(schema.maxItems ?? itemsMost, itemsMost));
  return fc.array(from(schema.items ?? {}, { ...place, depth: place.depth + 1 }), { minLength, maxLength });
}

function texts({ format, pattern, minLength = 0, maxLength = lettersMost }: JsonSchema): fc.Arbitrary<string> {
  const special = format === undefined ? undefined : ofFormat[format];
  if (special) return special;
  if (pattern !== undefined)
    return fc
      .stringMatching(new RegExp(pattern))
      .filter((text) => text.length >= minLength && text.length <= maxLength);
  // Letters first: a text of blanks alone is trimmed to nothing.
  const length = {
    minLength: Math.max(0, minLength - 1),
    maxLength: Math.max(minLength, Math.min(maxLength, lettersMost)) - 1,
  };
  if (length.maxLength < 0) return fc.constant("");
  const some = fc.tuple(fc.constantFrom("a", "Z", "7", "ж"), fc.string(length)).map(([head, tail]) => head + tail);
  return minLength === 0 ? fc.oneof(fc.constant(""), some) : some;
}
