/**
 * When an envelope is sent again (docs/adr/0006): the bus may lose, double or reorder anything, and a slow ledger must
 * not be flooded with copies of what it has.
 *
 *   no acknowledgement                     after 1, 2, 4, 8, 15, 15 … s: the publish is unknown, not failed
 *   acknowledged at stream sequence s      never, but for
 *     proof of loss                        billing has committed everything up to s or beyond, and lacks this; under
 *                                          another id, because the stream may hold what billing has passed over
 *     the stream was made anew             another creation time than the one that acknowledged it
 *     the stream went back                 its last sequence is below s: an unsynced tail was lost
 *     the safety net                       a quarter of an hour without any of these, doubling to an hour
 *   a restart of the worker                everything above the watermark, in the same envelopes
 *
 * Before anything goes out again for the stream's sake, billing is asked what it has.
 */

/** Where an acknowledged message lies. */
export interface Acknowledged {
  readonly seq: number;
  /** The stream's incarnation by its creation time; undefined when it could not be asked for. */
  readonly createdMs: number | undefined;
}

export interface StreamState {
  readonly createdMs: number;
  readonly lastSeq: number;
}

/** In the order of the table above. */
export type ResendReason = "unacknowledged" | "lost" | "gone" | "overdue" | "restart";

/** What billing says: by partition how far an epoch is committed, and how far the stream is. */
export interface Watermarks {
  readonly contiguous: ReadonlyMap<number, number>;
  readonly positions: ReadonlyMap<number, { readonly createdMs: number; readonly floor: number }>;
}

const unacknowledgedDelaysMs = [1_000, 2_000, 4_000, 8_000, 15_000];
const safetyMs = 900_000;
const safetyMaxMs = 3_600_000;
const lossMs = 1_000;
const lossMaxMs = 60_000;

export function unacknowledgedDelay(failures: number): number {
  return unacknowledgedDelaysMs[Math.min(failures, unacknowledgedDelaysMs.length) - 1] ?? 15_000;
}

export function safetyDelay(acknowledgements: number): number {
  return Math.min(safetyMs * 2 ** (acknowledgements - 1), safetyMaxMs);
}

/** Between two resends of the same envelope for proof of loss. */
export function lossDelay(losses: number): number {
  return Math.min(lossMs * 2 ** (losses - 1), lossMaxMs);
}

/** Creation times come by ways that round differently below the millisecond. */
export function sameIncarnation(aMs: number, bMs: number): boolean {
  return Math.abs(aMs - bMs) <= 1;
}

/** The stream no longer holds what it acknowledged. */
export function isGone(ack: Acknowledged, state: StreamState): boolean {
  if (ack.createdMs === undefined || !sameIncarnation(ack.createdMs, state.createdMs)) return true;
  return ack.seq > state.lastSeq;
}

/** Billing waits for just this envelope, and has committed the place in the same stream where it should have been. */
export function isLost(
  envelope: { readonly partition: number; readonly first: number; readonly last: number },
  ack: Acknowledged,
  { contiguous, positions }: Watermarks,
): boolean {
  const position = positions.get(envelope.partition);
  if (!position || ack.createdMs === undefined || !sameIncarnation(position.createdMs, ack.createdMs)) return false;
  const next = (contiguous.get(envelope.partition) ?? 0) + 1;
  return position.floor >= ack.seq && envelope.first <= next && next <= envelope.last;
}
