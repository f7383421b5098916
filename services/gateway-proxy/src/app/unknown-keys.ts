import { AppError, type Clock } from "@codex/kernel";
import { addressGroupOf } from "../domain/address-group.ts";
import { levelMaxMs, riseMs, waitMs } from "../domain/rate.ts";

/**
 * How often one address may have key-registry asked for keys that do not exist (SEC-32). Counted by each worker for itself: it
 * protects the registry, and a worker that guesses keys for somebody would need 2^238 of them.
 *
 * Glossary
 *   unknown    a key of the right form that the registry does not know
 *   suspect    an address that asked for an unknown key lately: what it is asking for just now counts as unknown too, so that
 *              it cannot ask for thousands at once before the first answer is there
 */

export interface AskedKey {
  /** To be called once, with what the registry said; undefined when it said nothing. */
  end(isKnown: boolean | undefined): void;
}

interface Asker {
  /** Milliseconds until the bucket is empty; see domain/rate.ts. */
  levelMs: number;
  atMs: number;
  asking: number;
}

/** Addresses remembered at most; the one whose last unknown key is the longest ago goes first. */
const askersMax = 50_000;
/** Of an address without a record. */
const askingMax = 1_000;

export class UnknownKeys {
  private readonly perMinute: number;
  private readonly clock: Clock;
  private readonly askers = new Map<string, Asker>();

  constructor(perMinute: number, clock: Clock) {
    this.perMinute = perMinute;
    this.clock = clock;
  }

  /** Throws AppError `too_many_unknown_keys`; then nobody may be asked. */
  ask(address: string): AskedKey {
    const group = addressGroupOf(address);
    const asker = this.read(group);
    const counted = asker.levelMs > 0 ? asker.asking + 1 : 1;
    const wait = waitMs(asker.levelMs, counted, this.perMinute);
    if (wait > 0 || asker.asking >= askingMax) throw tooMany(Math.max(1, Math.ceil(wait / 1_000)));
    asker.asking += 1;
    this.write(group, asker);
    let ended = false;
    return {
      end: (isKnown) => {
        if (ended) return;
        ended = true;
        const present = this.read(group);
        present.asking = Math.max(0, present.asking - 1);
        if (isKnown === false) present.levelMs = Math.min(levelMaxMs, present.levelMs + riseMs(1, this.perMinute));
        this.write(group, present);
      },
    };
  }

  private read(group: string): Asker {
    const present = this.askers.get(group);
    if (!present) return { levelMs: 0, atMs: this.clock.monotonicMs(), asking: 0 };
    const nowMs = this.clock.monotonicMs();
    present.levelMs = Math.max(0, present.levelMs - (nowMs - present.atMs));
    present.atMs = nowMs;
    return present;
  }

  /** Who has a clean record and asks for nothing is forgotten, so the map holds suspects alone. */
  private write(group: string, asker: Asker): void {
    this.askers.delete(group);
    if (asker.levelMs === 0 && asker.asking === 0) return;
    this.askers.set(group, asker);
    if (this.askers.size <= askersMax) return;
    const oldest = this.askers.keys().next();
    if (oldest.done !== true) this.askers.delete(oldest.value);
  }
}

function tooMany(retryAfterSeconds: number): AppError {
  return new AppError({
    kind: "rate_limited",
    code: "too_many_unknown_keys",
    publicMessage:
      "Too many API keys that do not exist came from your address. Check the key of your client; " +
      `other keys are looked at again in ${String(retryAfterSeconds)} s.`,
    retryAfterSeconds,
  });
}
