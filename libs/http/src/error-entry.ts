import type { ErrorKind } from "@codex/kernel";

/** Where a client can meet a code: `v1` = the OpenAI and Anthropic surface, `api` = problem+json of `/api/*`. */
export type ErrorSurface = "v1" | "api";

export interface ErrorEntry {
  /** Stable machine word, `snake_case`. Never renamed, never reused. */
  readonly code: string;
  /** Decides status and retry, see `httpStatusOf`. An error thrown with this code must be of this kind. */
  readonly kind: ErrorKind;
  /** Where it is not the kind's. */
  readonly status?: number;
  readonly surfaces: readonly ErrorSurface[];
  /** Short, the same for every occurrence: the `title` of problem+json. */
  readonly title: string;
  readonly cause: string;
  readonly fix: string;
}
