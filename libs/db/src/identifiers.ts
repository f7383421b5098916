import pg from "pg";

const namePattern = /^[a-z_][a-z0-9_]*$/;

/**
 * Longest schema or role name, in bytes. Postgres cuts identifiers at 63 in silence; the rest is left for the suffix of the
 * notify channel.
 */
const nameLengthMax = 48;

/** Checks a schema or role name that ends up in DDL, where nothing can be a parameter. Throws on anything unusual. */
export function checkName(what: string, name: string): string {
  if (!namePattern.test(name) || name.length > nameLengthMax) {
    throw new Error(`${what} must be lower-case letters, digits and _, at most ${nameLengthMax} characters`);
  }
  return name;
}

/** A checked name, quoted for SQL. */
export function quoteName(what: string, name: string): string {
  return pg.escapeIdentifier(checkName(what, name));
}
