/** An expected outcome, good or refused. Refusals carry a declared code; they are not thrown. */
export type Result<T, C extends string = string> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: C;
      readonly message: string;
      readonly metadata?: Readonly<Record<string, unknown>>;
    };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refuse<C extends string>(
  code: C,
  message: string,
  metadata?: Readonly<Record<string, unknown>>,
): {
  readonly ok: false;
  readonly code: C;
  readonly message: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
} {
  return metadata === undefined ? { ok: false, code, message } : { ok: false, code, message, metadata };
}
