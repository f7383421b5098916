import type { Link, LinkConnection } from "./tcp-proxy.ts";

/**
 * Sees on the cable to Postgres when billing sends a batch and when its commit is confirmed, so that something can happen
 * exactly between the two, or between the commit and billing's hearing of it. The batch is one statement, so the server's
 * ReadyForQuery after it says that it is committed.
 * Protocol: postgresql.org/docs/18/protocol-message-formats.html (read 2026-11).
 */

export type BatchMoment = "sent" | "committed";

export interface BatchTrap {
  readonly moment: BatchMoment;
  /** The confirmation is thrown away and the connection reset: committed, and nobody knows. Only for "committed". */
  readonly swallow: boolean;
  readonly act: () => void;
}

const writer = "writer";
const inBatch = "in batch";
/** A writer's other statements (claims, pings) are short; a batch carries records. */
const batchBytesMin = 1_000;
/** ReadyForQuery, idle. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

export class BatchWatch {
  private readonly traps: BatchTrap[] = [];
  /** Batches seen on their way to the database. */
  seen = 0;

  constructor(link: Link) {
    link.tap = (connection, direction, piece) =>
      direction === "up" ? this.sent(connection, piece) : this.answered(connection, piece);
  }

  /** Springs once, at the next batch. Returns a way to take it back, which says whether it had sprung. */
  arm(trap: BatchTrap): () => boolean {
    this.traps.push(trap);
    return () => {
      const index = this.traps.indexOf(trap);
      if (index >= 0) this.traps.splice(index, 1);
      return index < 0;
    };
  }

  private sent(connection: LinkConnection, piece: Buffer): "pass" {
    if (piece.includes("apply_batch")) connection.marks.add(writer);
    if (!connection.marks.has(writer) || piece.length < batchBytesMin) return "pass";
    this.seen += 1;
    connection.marks.add(inBatch);
    // After it was handed on, so that the server has it when the world breaks.
    const trap = this.take("sent");
    if (trap) setImmediate(trap.act);
    return "pass";
  }

  private answered(connection: LinkConnection, piece: Buffer): "pass" | "reset" {
    if (!connection.marks.has(inBatch) || !piece.subarray(-readyForQuery.length).equals(readyForQuery)) return "pass";
    connection.marks.delete(inBatch);
    const trap = this.take("committed");
    if (!trap) return "pass";
    trap.act();
    return trap.swallow ? "reset" : "pass";
  }

  private take(moment: BatchMoment): BatchTrap | undefined {
    const index = this.traps.findIndex((trap) => trap.moment === moment);
    return index < 0 ? undefined : this.traps.splice(index, 1)[0];
  }
}
