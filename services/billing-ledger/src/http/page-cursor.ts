import { parseId, type Id, type IdPrefix } from "@codex/kernel";
import { appError } from "@codex/http";

/** Opaque to clients: nobody should build one. */
export function toCursor(...parts: readonly string[]): string {
  return Buffer.from(parts.join(" ")).toString("base64url");
}

function partsOf(cursor: string): string[] {
  return Buffer.from(cursor, "base64url").toString().split(" ");
}

function badCursor(): Error {
  return appError("invalid_cursor", "The page cursor is not valid.");
}

/** The id in a cursor that {@link toCursor} made of one. Undefined without cursor; throws `invalid_cursor`. */
export function fromIdCursor<P extends IdPrefix>(prefix: P, cursor: string | undefined): Id<P> | undefined {
  if (cursor === undefined) return undefined;
  const [text = "", ...more] = partsOf(cursor);
  const id = parseId(prefix, text);
  if (id === undefined || more.length > 0 || toCursor(id) !== cursor) throw badCursor();
  return id;
}

/** The instant and the id in a cursor that {@link toCursor} made of both. */
export function fromDueCursor<P extends IdPrefix>(
  prefix: P,
  cursor: string | undefined,
): { readonly dueAt: Date; readonly id: Id<P> } | undefined {
  if (cursor === undefined) return undefined;
  const [instant = "", text = "", ...more] = partsOf(cursor);
  const id = parseId(prefix, text);
  const dueAt = new Date(instant);
  if (id === undefined || Number.isNaN(dueAt.getTime()) || more.length > 0) throw badCursor();
  return { dueAt, id };
}
