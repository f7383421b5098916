import type { HintName } from "./hints.ts";

/**
 * invalid      the client's body is not of its own dialect's shape
 * unsupported  the body is right, but the other dialect has no way to say it
 * upstream     a provider's answer or stream is not of its dialect's shape
 */
export type RefusalKind = "invalid" | "unsupported" | "upstream";

export interface Refusal {
  readonly kind: RefusalKind;
  /** Where, in the body that was given: `messages[2].content[0].image_url`; "" is the body itself. At most 256 characters. */
  readonly path: string;
  /** One sentence for the client; it repeats names of fields and types, never contents. */
  readonly message: string;
}

/** A value, with the names of the hints that were left out on the way ({@link hints}); or why there is none. */
export type Conversion<T> =
  | { readonly ok: true; readonly value: T; readonly dropped: readonly HintName[] }
  | { readonly ok: false; readonly refusal: Refusal };

const pathLengthMax = 256;

/**
 * Carries a refusal out of nested readers. It never leaves this library: {@link attempt} turns it into a value, so that
 * callers meet refusals as return values only.
 */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(kind: RefusalKind, path: string, message: string) {
    super(message);
    this.name = "RefusedError";
    this.refusal = { kind, path: path.slice(0, pathLengthMax), message };
  }
}

export function attempt<T>(dropped: ReadonlySet<HintName>, work: () => T): Conversion<T> {
  try {
    const value = work();
    return { ok: true, value, dropped: [...dropped] };
  } catch (error) {
    if (error instanceof RefusedError) return { ok: false, refusal: error.refusal };
    throw error;
  }
}
