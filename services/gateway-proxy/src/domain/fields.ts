import { AppError } from "@codex/kernel";

/** Checks of a request's outermost fields: an unknown one is an error by name, never dropped in silence. */

/** Undefined when the value is right, else what was expected. */
export type Check = (value: unknown) => string | undefined;
export type Fields = Readonly<Record<string, Check>>;
export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const text: Check = (value) => (typeof value === "string" ? undefined : "a string");
export const flag: Check = (value) => (typeof value === "boolean" ? undefined : "a boolean");
export const object: Check = (value) => (isObject(value) ? undefined : "an object");
export const list: Check = (value) => (Array.isArray(value) ? undefined : "an array");
export const anything: Check = () => undefined;
export const textOrList: Check = (value) =>
  typeof value === "string" || Array.isArray(value) ? undefined : "a string or an array";
export const textOrObject: Check = (value) =>
  typeof value === "string" || isObject(value) ? undefined : "a string or an object";
export const number =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === "number" && value >= min && value <= max ? undefined : `a number from ${min} to ${max}`;
export const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
      ? undefined
      : `an integer from ${min} to ${max}`;
export const oneOf =
  (...allowed: readonly string[]): Check =>
  (value) =>
    typeof value === "string" && allowed.includes(value) ? undefined : `one of ${allowed.join(", ")}`;
/** A number of answer tokens. */
export const outputTokens = integer(1, 10_000_000);

export function invalid(param: string, message: string, code = "invalid_request"): AppError {
  return new AppError({ kind: "invalid", code, publicMessage: message, param });
}

export function unknownField(name: string): AppError {
  return invalid(
    name,
    `Unknown parameter: '${name.slice(0, 64)}'. Remove it, or check its spelling.`,
    "unknown_parameter",
  );
}

/** For a field that is known and that this gateway cannot serve; `why` ends the sentence. */
export function unsupported(param: string, why: string): AppError {
  return invalid(param, `Unsupported parameter: '${param}'. ${why}`, "unsupported_parameter");
}

/** The body as an object whose fields all have a check and pass it. Throws AppError (kind `invalid`) naming the first that does not. */
export function checkedFields(body: unknown, fields: Fields): Readonly<Record<string, unknown>> {
  if (!isObject(body)) throw invalid("", "The request body must be a JSON object.");
  for (const [name, value] of Object.entries(body)) checkField(fields, name, value);
  return body;
}

function checkField(fields: Fields, name: string, value: unknown): void {
  const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!check) throw unknownField(name);
  // SDKs send null for "not set"; a field that is required is checked on its own.
  const expected = value === null ? undefined : check(value);
  if (expected !== undefined) throw invalid(name, `Invalid type for '${name}': expected ${expected}.`);
}

export function modelOf(body: Json): string {
  const { model } = body;
  if (typeof model !== "string" || model === "") throw invalid("model", "You must provide a model.");
  return model;
}

/** Undefined when it is none. */
export function textIn(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Undefined when absent or null. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/**
 * The gateway never fetches a URL that a customer wrote; it goes to the provider as it is, if it is one that cannot reach
 * into a network by accident: https or inline (SEC-80).
 */
export function checkMediaUrl(url: unknown, param: string): void {
  if (typeof url === "string" && !/^(https:\/\/|data:)/i.test(url)) {
    throw invalid(param, `Invalid URL in '${param}': it must begin with https:// or data:.`);
  }
}
