import { AppError, type AppErrorInit, type ErrorKind } from "@codex/kernel";
import { apiErrors } from "./error-codes-api.ts";
import { sharedErrors } from "./error-codes-shared.ts";
import { v1Errors } from "./error-codes-v1.ts";
import type { ErrorEntry } from "./error-entry.ts";

const entries = [...sharedErrors, ...v1Errors, ...apiErrors] as const;

export type ErrorCode = (typeof entries)[number]["code"];

/**
 * Every code a client can meet, in the order of docs/errors.md, which is generated from it. A route that declares a code
 * that is not here cannot be served.
 */
export const errorCatalogue: readonly ErrorEntry[] = entries;

const byCode: ReadonlyMap<string, ErrorEntry> = new Map(errorCatalogue.map((entry) => [entry.code, entry]));

/** Undefined when the code is not in the catalogue. */
export function findError(code: string): ErrorEntry | undefined {
  return byCode.get(code);
}

/** The kind that the catalogue gives the code. */
export function kindOf(code: ErrorCode): ErrorKind {
  const entry = byCode.get(code);
  if (entry === undefined) throw new Error(`no such error code: ${code}`);
  return entry.kind;
}

/** An AppError whose kind comes from the catalogue, so that status and documentation cannot disagree. */
export function appError(
  code: ErrorCode,
  publicMessage: string,
  more: Omit<AppErrorInit, "code" | "kind" | "publicMessage"> = {},
): AppError {
  return new AppError({ ...more, kind: kindOf(code), code, publicMessage });
}

/** The one answer for what is missing and for what belongs to somebody else (SEC-02): made fresh, never wrapped. */
export function notFound(): AppError {
  return appError("not_found", "There is nothing here by that id.");
}

export interface FieldError {
  /** JSON pointer (RFC 6901) into the body; for path and query parameters `/<name>`. */
  readonly pointer: string;
  readonly message: string;
}

/** `invalid_request` with one entry a wrong field. `param` is the first pointer. */
export class InvalidRequestError extends AppError {
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[], publicMessage?: string) {
    const first = errors[0];
    super({
      kind: "invalid",
      code: "invalid_request",
      publicMessage: publicMessage ?? (first ? sentenceOf(first, errors.length) : "The request is not valid."),
      ...(first ? { param: first.pointer } : {}),
    });
    this.errors = errors;
  }
}

function sentenceOf(first: FieldError, count: number): string {
  const more = count > 1 ? ` (and ${String(count - 1)} more)` : "";
  return `${first.pointer === "" ? "The body" : first.pointer}: ${first.message}${more}.`;
}
