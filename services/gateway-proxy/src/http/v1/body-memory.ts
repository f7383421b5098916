import { overloaded } from "./forward.ts";

/**
 * Memory of request bodies, all requests together: a body stays until the request has ended, for the next channel. Above the
 * bound large bodies are refused (503) and small ones still served, so that uploads cannot shut the door on everybody.
 */
export class BodyMemory {
  private readonly bytesMax: number;
  private taken = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.taken;
  }

  share(): BodyShare {
    let own = 0;
    return {
      take: (bytes) => {
        own += bytes;
        this.taken += bytes;
        if (own > smallBytes && this.taken > this.bytesMax) throw overloaded();
      },
      release: () => {
        this.taken -= own;
        own = 0;
      },
    };
  }
}

/** What an ordinary conversation has at most; the connections' own bound holds for these. */
const smallBytes = 262_144;

export interface BodyShare {
  /** Throws AppError `overloaded`. */
  take(bytes: number): void;
  /** Idempotent. */
  release(): void;
}
