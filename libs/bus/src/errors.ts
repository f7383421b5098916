import { AppError } from "@codex/kernel";
import { RequestError } from "@nats-io/nats-core";

/**
 * Thrown by a message handler when no retry can help (the message contradicts our data): the message goes to the dead
 * letters at once. Any other error is retried. An `AppError` of kind `unavailable` means that a dependency is down: it is
 * retried for hours, not for `deliveriesMax` times, since the message is not at fault.
 */
export class PermanentFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PermanentFailure";
  }
}

/** The one error of this library that callers branch on: the bus, or who should answer on it, does not. Safe to retry. */
export function busUnavailable(detail: Readonly<Record<string, unknown>>, cause?: unknown): AppError {
  return new AppError({
    kind: "unavailable",
    code: "service_unavailable",
    publicMessage: "A part of this service does not answer at the moment. Please try again in a few seconds.",
    retryAfterSeconds: 1,
    detail,
    cause,
  });
}

/**
 * True of an RPC that nobody on the bus serves just now, which the server says at once. During an update it may be that only
 * the version before runs.
 */
export function isUnserved(error: unknown): boolean {
  return error instanceof AppError && error.cause instanceof RequestError && error.cause.isNoResponders();
}

/** One line of printable text for a header or a log, at most `lengthMax` characters. */
export function oneLine(text: string, lengthMax = 512): string {
  return text
    .replaceAll(/[^\P{C}]+/gu, " ")
    .trim()
    .slice(0, lengthMax);
}

/** Name and message of anything thrown, on one line. */
export function describeError(error: unknown): string {
  return oneLine(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
}
