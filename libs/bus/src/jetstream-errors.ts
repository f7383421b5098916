import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";

function hasCode(error: unknown, ...codes: readonly number[]): boolean {
  return error instanceof JetStreamApiError && codes.includes(error.code);
}

export function isMissingStream(error: unknown): boolean {
  return hasCode(error, JetStreamApiCodes.StreamNotFound);
}

export function isMissingConsumer(error: unknown): boolean {
  return hasCode(error, JetStreamApiCodes.ConsumerNotFound);
}

/** A conditional write found another revision than it expected. */
export function isWrongRevision(error: unknown): boolean {
  return hasCode(error, JetStreamApiCodes.StreamWrongLastSequence, JetStreamApiCodes.StreamWrongLastSequenceUnknown);
}
