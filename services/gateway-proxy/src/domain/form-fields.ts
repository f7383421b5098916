import type { RequestBody } from "./endpoint.ts";
import { checkedFields, invalid, unknownField, type Fields, type Json } from "./fields.ts";
import type { FormPart } from "./form.ts";

/** A request that comes as JSON or as a form, read alike: fields by name, and files, which only a form has. */
export interface FieldsAndFiles {
  readonly fields: Json;
  readonly files: readonly FormPart[];
}

/** Field names that a form may have more than once. */
const isList = (name: string): boolean => name.endsWith("[]");

/**
 * Throws AppError (kind `invalid`) that names the first field at fault: unknown, there twice, or of the wrong type. In a form
 * everything is text, so numbers and flags are told by their form; `files` are the names of parts that are files.
 */
export function fieldsAndFiles(body: RequestBody, fields: Fields, files: readonly string[]): FieldsAndFiles {
  if (body.kind === "json") return { fields: checkedFields(body.value, fields), files: [] };
  const values: Record<string, unknown> = {};
  const found: FormPart[] = [];
  for (const part of body.parts) {
    const { name } = part;
    if (part.fileName !== undefined) {
      if (!files.includes(name)) throw invalid(name, `Unknown file: '${name}'.`, "unknown_parameter");
      if (!isList(name) && found.some((one) => one.name === name)) throw twice(name);
      found.push(part);
    } else if (isList(name)) {
      const before = values[name];
      values[name] = [...(Array.isArray(before) ? (before as unknown[]) : []), part.content.toString("utf8")];
    } else {
      // Before it is a name in an object of ours: `__proto__` is none of its own, and what it finds there is no check.
      if (!Object.hasOwn(fields, name)) throw unknownField(name);
      if (Object.hasOwn(values, name)) throw twice(name);
      values[name] = valueOf(part.content.toString("utf8"), fields[name]?.("text") === undefined);
    }
  }
  return { fields: checkedFields(values, fields), files: found };
}

function twice(name: string): Error {
  return invalid(name, `'${name}' is there more than once.`);
}

function valueOf(text: string, isText: boolean): unknown {
  if (isText) return text;
  if (text === "true" || text === "false") return text === "true";
  return /^-?\d{1,12}(\.\d{1,12})?$/.test(text) ? Number(text) : text;
}
