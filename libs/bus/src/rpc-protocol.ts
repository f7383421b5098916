import { ServiceErrorCodeHeader, ServiceErrorHeader } from "@nats-io/services";

/**
 * What an answer looks like. Good: the JSON of the contract's `res`. Refused: the two headers of ADR-32 (a number and a
 * sentence), our declared word beside them, and the metadata as a JSON body.
 */
export const rpcHeaders = {
  status: ServiceErrorCodeHeader,
  message: ServiceErrorHeader,
  code: "Codex-Error-Code",
  /** On the request: how long the caller still listens, in milliseconds. A duration, so that clocks need not agree. */
  timeoutMs: "Codex-Timeout-Ms",
} as const;

/** ADR-32 asks for a number; these follow HTTP. Callers branch on the word. */
export const rpcStatus = { badRequest: 400, refused: 422, internal: 500, overloaded: 503 } as const;

/** Words of failures that are not part of any contract; to the caller all of them are `unavailable`. */
export const rpcFailure = {
  badRequest: "bad_request",
  internal: "internal_error",
  overloaded: "overloaded",
} as const;
