import { sql, type RawBuilder } from "kysely";

/**
 * Put at the very beginning of a statement, it makes each connection parse and plan the statement once, under this name: for
 * what is asked thousands of times by one connection. The text behind one name must always be the same.
 */
export function prepared(name: string): RawBuilder<unknown> {
  if (!/^[a-z_]{1,60}$/.test(name)) throw new TypeError(`${name} is no name of a statement`);
  // eslint-disable-next-line security/parameterised-sql -- letters and underscores alone, as was just checked.
  return sql.raw(`${mark}${name} */ `);
}

const mark = "/* prepared ";

/** The name that {@link prepared} gave a statement. */
export function preparedName(text: string): string | undefined {
  return text.startsWith(mark) ? text.slice(mark.length, text.indexOf(" ", mark.length)) : undefined;
}
