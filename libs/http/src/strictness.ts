import { z } from "zod";

/** Wrappers whose inside is what a client writes. */
function innerTypes(schema: z.ZodType): [string, unknown][] {
  if (schema instanceof z.ZodObject) return Object.entries(schema.shape).map(([key, value]) => [`.${key}`, value]);
  if (schema instanceof z.ZodArray) return [["[]", schema.element]];
  if (schema instanceof z.ZodUnion) return schema.options.map((option, index) => [`|${String(index)}`, option]);
  if (schema instanceof z.ZodRecord) return [["{}", schema.valueType]];
  if (schema instanceof z.ZodPipe) return [["", schema.in]];
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  ) {
    return [["", schema.unwrap()]];
  }
  return [];
}

/**
 * SEC-110: an object that is not strict would drop unknown fields in silence, or pass them on. Answers where the first
 * such object is ("" for the outermost), as text that continues the name of the schema; undefined when all are strict.
 */
export function strictnessProblem(schema: z.ZodType): string | undefined {
  if (schema instanceof z.ZodObject && !(schema.def.catchall instanceof z.ZodNever)) return " must be a z.strictObject";
  for (const [name, inner] of innerTypes(schema)) {
    const problem = inner instanceof z.ZodType ? strictnessProblem(inner) : undefined;
    if (problem !== undefined) return `${name}${problem}`;
  }
  return undefined;
}
