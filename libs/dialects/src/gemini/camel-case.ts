import { isObject } from "../model/dialect.ts";

/** Below these, keys are the user's own. */
const opaque: ReadonlySet<string> = new Set([
  "args",
  "response",
  "parameters",
  "parametersJsonSchema",
  "responseSchema",
  "responseJsonSchema",
  "labels",
]);

/** Deeper than any field of the dialect lies. */
const depthMax = 12;

/**
 * Google's JSON takes each field's name in camel case and with underscores (protobuf.dev, ProtoJSON); Google's own examples
 * with curl use the latter. Returns the same with camel case.
 */
export function camelCase(value: unknown, depth = 0): unknown {
  if (depth > depthMax) return value;
  if (Array.isArray(value)) return value.map((entry) => camelCase(entry, depth + 1));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
    const name = key.replace(/^_(?=[a-z])/, "").replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
    return [name, opaque.has(name) ? inner : camelCase(inner, depth + 1)];
  });
  return Object.fromEntries(entries);
}
