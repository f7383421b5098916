import type { JsonObject } from "./dialect.ts";

/** A field that is left out when there is nothing to say. */
export function optional(name: string, value: unknown): JsonObject {
  return value === undefined ? {} : { [name]: value };
}
