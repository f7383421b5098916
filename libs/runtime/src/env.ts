import { z } from "zod";
import { Secret, weaknessOf } from "./secret.ts";

/**
 * Field helpers: zod types whose input is the text of an environment variable (or undefined).
 *
 * No message holds a value. A value can be a password that was pasted into the wrong line, and messages end in logs.
 */

/** What `describeConfig` and the error message need to know of a field beside its zod type. */
export interface FieldFacts {
  readonly default?: string;
  readonly secret: boolean;
  readonly required: boolean;
  readonly consequence?: string;
}

/** zod's own registry: survives `.describe()`, which clones. */
export const fieldFacts = z.registry<FieldFacts>();

export interface CommonOptions {
  /** What follows from a wrong value, one sentence for the operator; a sensible one per type is the default. */
  readonly consequence?: string;
}
export interface TextOptions extends CommonOptions {
  readonly default?: string;
  readonly pattern?: RegExp;
}
export interface IntegerOptions extends CommonOptions {
  readonly min: number;
  readonly max: number;
  readonly default?: number;
}
export interface UrlOptions extends CommonOptions {
  /** Without colon or with it. Default: http, https. */
  readonly protocols?: readonly string[];
  readonly default?: string;
  /** Accept only scheme, host and port: no path, query, user. For values that are compared with an Origin header. */
  readonly originOnly?: boolean;
}
export interface SecretOptions extends CommonOptions {
  /** Bytes of UTF-8 text. Default 32 (SEC-08). */
  readonly bytesMin?: number;
}

type Parsed<T> = { readonly value: T } | { readonly problem: string };

const textLengthMax = 8192;
const urlsMax = 32;

const controlCharacters = /[\u0000-\u001f\u007f]/;

function field<T>(parse: (text: string) => Parsed<T>, facts: FieldFacts): z.ZodType<T> {
  const schema = z.unknown().transform((input, ctx): T => {
    const result = parseText(input, parse, facts);
    if ("value" in result) return result.value;
    ctx.issues.push({ code: "custom", message: result.problem, input: undefined });
    return z.NEVER;
  });
  fieldFacts.add(schema, facts);
  return schema;
}

function parseText<T>(input: unknown, parse: (text: string) => Parsed<T>, facts: FieldFacts): Parsed<T> {
  if (input === undefined) {
    return facts.default === undefined ? { problem: "is not set" } : parse(facts.default);
  }
  if (typeof input !== "string") return { problem: "is not text" };
  if (input === "") {
    const way = facts.default === undefined ? "" : `; remove the line to get the default ${facts.default}`;
    return { problem: `is empty${way}` };
  }
  if (input.length > textLengthMax) return { problem: `is longer than ${String(textLengthMax)} characters` };
  if (controlCharacters.test(input)) return { problem: "holds a line break or another control character" };
  return parse(input);
}

function facts(opts: CommonOptions, defaultText: string | undefined, consequence?: string): FieldFacts {
  const known = opts.consequence ?? consequence;
  return {
    secret: false,
    required: defaultText === undefined,
    ...(defaultText === undefined ? {} : { default: defaultText }),
    ...(known === undefined ? {} : { consequence: known }),
  };
}

function text(opts: TextOptions = {}): z.ZodType<string> {
  return field(
    (value) => {
      if (opts.pattern && !opts.pattern.test(value))
        return { problem: `does not have the form ${String(opts.pattern)}` };
      return { value };
    },
    facts(opts, opts.default),
  );
}

function integer(opts: IntegerOptions): z.ZodType<number> {
  return field(
    (value) => {
      const number = /^(?:0|-?[1-9]\d*)$/.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(number)) return { problem: "is not a whole number in plain digits" };
      if (number < opts.min || number > opts.max) {
        return { problem: `is out of range: it must be from ${String(opts.min)} to ${String(opts.max)}` };
      }
      return { value: number };
    },
    facts(opts, opts.default === undefined ? undefined : String(opts.default)),
  );
}

function boolean(opts: CommonOptions & { readonly default?: boolean } = {}): z.ZodType<boolean> {
  return field(
    (value) =>
      value === "true" || value === "false" ? { value: value === "true" } : { problem: 'must be "true" or "false"' },
    facts(opts, opts.default === undefined ? undefined : String(opts.default)),
  );
}

function oneOf<const V extends readonly string[]>(
  values: V,
  opts: CommonOptions & { readonly default?: V[number] } = {},
): z.ZodType<V[number]> {
  return field(
    (value): Parsed<V[number]> => {
      const found = values.find((candidate) => candidate === value);
      return found === undefined ? { problem: `must be one of: ${values.join(", ")}` } : { value: found };
    },
    facts(opts, opts.default),
  );
}

function parseUrl(value: string, opts: UrlOptions): Parsed<string> {
  const allowed = (opts.protocols ?? ["http", "https"]).map((protocol) => protocol.replace(/:$/, ""));
  const form = `${allowed.join(":// or ")}://host`;
  const url = URL.canParse(value) && !/\s/.test(value) ? new URL(value) : undefined;
  if (!url) return { problem: `is not a URL; it must look like ${form}` };
  if (!allowed.includes(url.protocol.replace(/:$/, "")))
    return { problem: `has the wrong scheme; it must look like ${form}` };
  if (url.hostname === "" && !value.startsWith("file:")) return { problem: `names no host; it must look like ${form}` };
  if (opts.originOnly && value !== `${url.protocol}//${url.host}`) {
    return { problem: "must be an origin only, in lower case: scheme, host and port, without a slash at the end" };
  }
  return { value };
}

const urlConsequence = "What is behind this address could not be reached.";

function url(opts: UrlOptions = {}): z.ZodType<string> {
  return field((value) => parseUrl(value, opts), facts(opts, opts.default, urlConsequence));
}

/** Comma separated, 1 to 32; white space around a comma is ignored. */
function urls(opts: UrlOptions = {}): z.ZodType<readonly string[]> {
  return field(
    (value) => {
      const parts = value.split(",").map((part) => part.trim());
      if (parts.length > urlsMax) return { problem: `lists more than ${String(urlsMax)} addresses` };
      const parsed = parts.map((part) => parseUrl(part, opts));
      const bad = parsed.findIndex((part) => "problem" in part);
      const first = parsed[bad];
      if (first && "problem" in first) return { problem: `entry ${String(bad + 1)} ${first.problem}` };
      return { value: parts };
    },
    facts(opts, opts.default, urlConsequence),
  );
}

/** SEC-08. The type of the value keeps it out of logs; distinctness between secrets is checked by `loadConfig`. */
function secret(opts: SecretOptions = {}): z.ZodType<Secret> {
  const bytesMin = opts.bytesMin ?? 32;
  return field(
    (value) => {
      const weakness = weaknessOf(value, bytesMin);
      return weakness === undefined ? { value: new Secret(value) } : { problem: weakness };
    },
    {
      secret: true,
      required: true,
      consequence:
        opts.consequence ??
        "Whoever guesses it can forge everything that it protects. Make one with: openssl rand -base64 48",
    },
  );
}

/** Empty or absent gives undefined; anything else must satisfy `inner`. */
function optional<T>(inner: z.ZodType<T>): z.ZodType<T | undefined> {
  const schema = z.unknown().transform((input, ctx): T | undefined => {
    if (input === undefined || input === "") return undefined;
    const result = inner.safeParse(input);
    if (result.success) return result.data;
    for (const issue of result.error.issues)
      ctx.issues.push({ code: "custom", message: issue.message, input: undefined });
    return z.NEVER;
  });
  fieldFacts.add(schema, { secret: false, ...fieldFacts.get(inner), required: false });
  return inner.description === undefined ? schema : schema.describe(inner.description);
}

export const env = { text, integer, boolean, oneOf, url, urls, secret, optional };
