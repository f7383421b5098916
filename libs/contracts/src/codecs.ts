import type { Id, IdPrefix } from "@codex/kernel";
import { formatAmount, parseAmount, parseMicroTokens } from "@codex/kernel/money";
import * as z from "zod";

/** Integer micro-tokens: decimal string on the wire, bigint in code. Used on the bus. */
export const microTokens = z.codec(z.string().regex(/^-?\d{1,19}$/), z.bigint(), {
  decode: (text, context) => {
    const value = parseMicroTokens(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", input: text, message: "not an int8 number of micro-tokens" });
    return z.NEVER;
  },
  encode: (value) => value.toString(),
});

/** Tokens with six fraction digits, "0.421000": decimal string on the wire, bigint micro-tokens in code. Used in public HTTP bodies. */
export const amount = z.codec(z.string().regex(/^-?\d{1,13}(\.\d{1,6})?$/), z.bigint(), {
  decode: (text, context) => {
    const value = parseAmount(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", input: text, message: "not an amount of tokens" });
    return z.NEVER;
  },
  encode: (value) => formatAmount(value),
});

/**
 * An id with its prefix checked; the form is the one of kernel's `newId`. The type is the branded one: a cast instead of a
 * transform, because a transform could not be encoded again.
 */
export function idOf<P extends IdPrefix>(prefix: P): z.ZodType<Id<P>, string> {
  const form = new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`);
  return z.string().regex(form, { message: `not a ${prefix}_ id` }) as unknown as z.ZodType<Id<P>, string>;
}

/** RFC 3339 instant in UTC. */
export const instant = z.iso.datetime({ offset: false });

/** A count of model tokens, bytes or milliseconds. */
export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
