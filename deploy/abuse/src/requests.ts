import fc from "fast-check";
import { forbiddenFields, hostileText, mutated, mutation, rawBodies, withField } from "./hostile.ts";
import { idempotencyHeader, pathWith, type Parameter, type Target } from "./routes.ts";
import { valuesOf } from "./schema-values.ts";
import type { Ask } from "./visitor.ts";

/**
 * Requests to a route, drawn from our own OpenAPI document.
 *
 * Glossary
 *   good      all that the document says holds; the service may still refuse it, in words
 *   extra     good but for a field that no client may write: must be refused (SEC-110)
 *   hostile   one thing is wrong: a place in the body, the body as a whole, the path, the query, a header
 */

export interface Case {
  readonly kind: "good" | "extra" | "hostile";
  /** For a finding. */
  readonly what: string;
  readonly ask: Ask;
}

/** Header values of undici, and of HTTP: no line breaks, one byte a letter. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x20, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  maxLength: 200,
});

interface Parts {
  readonly path: Readonly<Record<string, string>>;
  readonly query: readonly (readonly [string, string])[];
  readonly body: unknown;
  readonly key: string;
}

/** `few`: what can be had only with much work (a password hash) is asked for seldom. */
export function casesOf(target: Target): fc.Arbitrary<Case> {
  const parts = partsOf(target);
  const good = parts.map((some): Case => ({ kind: "good", what: "good", ask: askOf(target, some) }));
  const hostile = [hostileHeaders(target, parts), hostileQuery(target, parts)];
  if (target.parameters.some((one) => one.in === "path")) hostile.push(hostilePath(target, parts));
  if (target.route.method === "GET")
    return fc.oneof({ weight: 1, arbitrary: good }, ...hostile.map((arbitrary) => ({ weight: 1, arbitrary })));
  const extra = extraFields(target, parts);
  return fc.oneof(
    { weight: 1, arbitrary: good },
    { weight: 1, arbitrary: extra },
    { weight: 5, arbitrary: mutatedBodies(target, parts) },
    { weight: 2, arbitrary: wholeBodies(target, parts) },
    ...hostile.map((arbitrary) => ({ weight: 1, arbitrary })),
  );
}

function partsOf({ parameters, body }: Target): fc.Arbitrary<Parts> {
  const values = (where: Parameter["in"]): fc.Arbitrary<Readonly<Record<string, string>>> => {
    const own = parameters.filter((one) => one.in === where);
    const model = Object.fromEntries(own.map(({ name, schema }) => [name, valuesOf(schema).map(String)]));
    return fc.record(model, {
      requiredKeys: own.filter(({ required }) => required).map(({ name }) => name),
      noNullPrototype: true,
    });
  };
  return fc.record({
    path: values("path"),
    query: values("query").map((given) => Object.entries(given)),
    body: body === undefined ? fc.constant(undefined) : valuesOf(body),
    key: fc.uuid(),
  });
}

const encoded = (path: Parts["path"]): Parts["path"] =>
  Object.fromEntries(Object.entries(path).map(([name, value]) => [name, encodeURIComponent(value.toWellFormed())]));

function askOf(target: Target, { path, query, body, key }: Parts, more: Partial<Ask> = {}): Ask {
  const ids = encoded(path);
  const search = query
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value.toWellFormed())}`)
    .join("&");
  const whole = pathWith(target.route.path, (name) => ids[name] ?? "x");
  return {
    method: target.route.method,
    path: search === "" ? whole : `${whole}?${search}`,
    headers: idempotencyHeader(target, key),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...more,
  };
}

function extraFields(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  return fc.tuple(parts, fc.constantFrom(...forbiddenFields)).map(([some, field]): Case => {
    const whole = typeof some.body === "object" && some.body !== null ? { ...some.body } : {};
    // A field that the body has anyway would be no extra one.
    const isOwn = field[0] !== "__proto__" && field[0] in whole;
    const [name, value] = isOwn ? ["isAdmin", true] : field;
    return {
      kind: "extra",
      what: `the field ${name}`,
      ask: askOf(target, { ...some, body: withField(whole, [name, value]) }),
    };
  });
}

function mutatedBodies(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  return fc.tuple(parts, mutation).map(([some, change]): Case => {
    const body = mutated(some.body ?? {}, change);
    return { kind: "hostile", what: `body ${change.how}`, ask: askOf(target, some, { body }) };
  });
}

function wholeBodies(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  return fc
    .tuple(parts, fc.constantFrom(...rawBodies))
    .map(([some, body]): Case => ({ kind: "hostile", what: "whole body", ask: askOf(target, some, { body }) }));
}

/** As it is, and percent-encoded: both arrive. */
function hostilePath(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  const names = target.parameters.filter((one) => one.in === "path").map(({ name }) => name);
  const rawSegments = fc.constantFrom(
    "..",
    ".",
    "%2e%2e",
    "%2f",
    "%",
    "%zz",
    "%00",
    "%ff%fe",
    "a%2fb",
    "a;b=c",
    "a//b",
    "%c0%af",
  );
  return fc
    .tuple(parts, fc.constantFrom(...names), hostileText, fc.option(rawSegments))
    .map(([some, name, text, raw]): Case => {
      const ids = encoded({ ...some.path, [name]: text.slice(0, 1_000) });
      const path = pathWith(target.route.path, (one) => (one === name && raw !== null ? raw : (ids[one] ?? "x")));
      return { kind: "hostile", what: `path ${name}`, ask: { ...askOf(target, some), path } };
    });
}

function hostileQuery(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  const names = [
    "unknown",
    "__proto__",
    "limit[]",
    ...target.parameters.filter((one) => one.in === "query").map(({ name }) => name),
  ];
  const pair = fc.tuple(
    fc.constantFrom(...names),
    hostileText.map((text) => text.slice(0, 1_000)),
  );
  return fc.tuple(parts, fc.array(pair, { minLength: 1, maxLength: 3 })).map(([some, pairs]): Case => ({
    kind: "hostile",
    what: "query",
    ask: askOf(target, { ...some, query: [...some.query, ...pairs] }),
  }));
}

const headerNames = [
  "idempotency-key",
  "content-type",
  "content-encoding",
  "accept",
  "accept-language",
  "user-agent",
  "x-request-id",
  "x-cx-csrf",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-http-method-override",
  "traceparent",
  "if-none-match",
  "range",
  "referer",
] as const;

function hostileHeaders(target: Target, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Case> {
  return fc.tuple(parts, fc.constantFrom(...headerNames), headerText).map(([some, name, text]): Case => {
    const ask = askOf(target, some);
    return { kind: "hostile", what: `header ${name}`, ask: { ...ask, headers: { ...ask.headers, [name]: text } } };
  });
}
