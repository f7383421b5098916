/** A value that fits a JSON Schema well enough for a tool call; deterministic. */

const depthMax = 6;
const propertiesMax = 32;

type Schema = Readonly<Record<string, unknown>>;

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `hint` fills free strings. Properties are the required ones, or all when none is; deeper than six levels becomes null. */
export function sampleOf(schema: unknown, hint: string, depth = 0): unknown {
  if (!isSchema(schema) || depth > depthMax) return null;
  if ("const" in schema) return schema["const"];
  if (Array.isArray(schema["enum"])) return (schema["enum"] as readonly unknown[])[0] ?? null;
  if ("default" in schema) return schema["default"];
  const alternatives = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(alternatives)) return sampleOf(alternatives[0], hint, depth + 1);
  switch (typeOf(schema)) {
    case "string":
      return sampleString(schema, hint);
    case "integer":
      return Math.ceil(atLeast(schema));
    case "number":
      return atLeast(schema);
    case "boolean":
      return true;
    case "array":
      return "items" in schema ? [sampleOf(schema["items"], hint, depth + 1)] : [];
    case "object":
      return sampleObject(schema, hint, depth);
    default:
      return null;
  }
}

function typeOf(schema: Schema): unknown {
  const type = schema["type"];
  if (Array.isArray(type)) return (type as readonly unknown[])[0];
  return type ?? ("properties" in schema ? "object" : undefined);
}

function atLeast(schema: Schema): number {
  const minimum = schema["minimum"];
  return typeof minimum === "number" ? minimum : 1;
}

function sampleString(schema: Schema, hint: string): string {
  switch (schema["format"]) {
    case "date":
      return "2026-01-01";
    case "date-time":
      return "2026-01-01T00:00:00Z";
    case "email":
      return "demo@example.com";
    case "uri":
      return "https://example.com/";
    default: {
      const max = schema["maxLength"];
      return Array.from(hint === "" ? "demo" : hint)
        .slice(0, typeof max === "number" ? Math.min(max, 60) : 60)
        .join("");
    }
  }
}

function sampleObject(schema: Schema, hint: string, depth: number): Schema {
  const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? (schema["required"] as readonly unknown[]) : [];
  const names = required.filter((name): name is string => typeof name === "string" && Object.hasOwn(properties, name));
  const chosen = (names.length > 0 ? names : Object.keys(properties)).slice(0, propertiesMax);
  return Object.fromEntries(chosen.map((name) => [name, sampleOf(properties[name], hint, depth + 1)]));
}
