import { isObject, type JsonObject } from "../model/dialect.ts";
import { malformed } from "../model/fields.ts";

const depthMax = 64;
const numbers: ReadonlySet<string> = new Set([
  "minItems",
  "maxItems",
  "minLength",
  "maxLength",
  "minProperties",
  "maxProperties",
]);

/**
 * Gemini's `Schema` (a subset of OpenAPI 3.0) → JSON Schema: types in lower case, `nullable` as a type, 64-bit numbers that
 * stand in quotes as numbers. Keywords that JSON Schema does not know stay; they say nothing there.
 */
export function schemaIn(schema: JsonObject, path: string, depth = 0): JsonObject {
  if (depth > depthMax) throw malformed("invalid", path, "a schema of at most 64 levels");
  const entries = Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    if (key === "nullable") return [];
    if (key === "type") return [[key, typeIn(value, schema["nullable"] === true)]];
    if (numbers.has(key) && typeof value === "string") return [[key, Number(value)]];
    if (key === "properties" && isObject(value)) {
      const inner = Object.entries(value).map(([name, entry]) => [name, nested(entry, path, depth)] as const);
      return [[key, Object.fromEntries(inner)]];
    }
    if (key === "items") return [[key, nested(value, path, depth)]];
    if (key === "anyOf" && Array.isArray(value)) return [[key, value.map((entry) => nested(entry, path, depth))]];
    return [[key, value]];
  });
  return Object.fromEntries(entries);
}

function nested(value: unknown, path: string, depth: number): unknown {
  return isObject(value) ? schemaIn(value, path, depth + 1) : value;
}

function typeIn(value: unknown, nullable: boolean): unknown {
  const type = typeof value === "string" ? value.toLowerCase() : value;
  return nullable ? [type, "null"] : type;
}
