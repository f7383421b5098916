import { createHash } from "node:crypto";

/**
 * The audit log as a chain: each line's hash covers the line and the hash before it, so that a line that is changed, taken
 * out or put in between shows at every line after it (SEC-147). Whoever keeps one hash elsewhere can prove all before it.
 */
export interface ChainedAct {
  readonly seq: bigint;
  readonly id: string;
  readonly actorId: string | null;
  readonly action: string;
  readonly accountId: string | null;
  readonly reason: string | null;
  readonly at: Date;
}

/** What the first line follows. */
export const chainStart = Buffer.alloc(32);

export function hashOfAct(previous: Uint8Array, act: ChainedAct): Buffer {
  const { seq, id, actorId, action, accountId, reason, at } = act;
  // An array of texts has one JSON form only.
  const text = JSON.stringify([seq.toString(), id, actorId, action, accountId, reason, at.toISOString()]);
  return createHash("sha256").update(previous).update(text, "utf8").digest();
}

export interface StoredAct extends ChainedAct {
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

/** The number of the first line that does not follow from the one before it; undefined when the chain holds. */
export function firstBroken(acts: Iterable<StoredAct>): bigint | undefined {
  let previous: Uint8Array = chainStart;
  let seq = 0n;
  for (const act of acts) {
    seq += 1n;
    const fits = act.seq === seq && Buffer.compare(act.previousHash, previous) === 0;
    if (!fits || Buffer.compare(act.hash, hashOfAct(previous, act)) !== 0) return seq;
    previous = act.hash;
  }
  return undefined;
}
