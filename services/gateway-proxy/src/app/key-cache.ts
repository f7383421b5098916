import type { KeyLimits } from "@codex/contracts";
import { AppError, checkApiKey, hashApiKey, type AccountId, type Clock, type KeyId } from "@codex/kernel";
import type { AddressList } from "../domain/address-list.ts";
import type { KeyCaps } from "./lease-ports.ts";
import { RunningKeys } from "./running-keys.ts";
import type { UnknownKeys } from "./unknown-keys.ts";

/**
 * Who a key belongs to, without asking each time (SEC-32, SEC-35, SEC-36). What is malformed is refused before anything is
 * looked up; what does not exist is remembered for a moment, apart from the keys that do, so that guessing cannot push them out.
 *
 * Glossary
 *   entry      what key-registry said of a hash, with the version of that statement
 *   refresh    asking again in the background, when an entry is older than {@link refreshAfterMs}
 *   bound      the age at which an entry is not believed any more, even if every revocation message was lost
 *   tombstone  a revocation; it stays, and no later fill with a lower version can undo it
 */

export interface ResolvedKey {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly status: "active" | "revoked";
  readonly version: number;
  /** Null = every model. */
  readonly models: readonly string[] | null;
  readonly expiresAt: Date | null;
  /** Null = none. */
  readonly caps: KeyCaps | null;
  /** The owner's; null = the operator's. */
  readonly limits: KeyLimits | null;
  /** Null = from everywhere. */
  readonly addresses: AddressList | null;
}

export interface KeyCachePorts {
  /** Undefined = no such key. Rejects with AppError `unavailable` when key-registry does not answer. */
  resolve(keyHash: string): Promise<ResolvedKey | undefined>;
  readonly unknownKeys: Pick<UnknownKeys, "ask">;
  readonly clock: Clock;
}

interface Entry {
  readonly key: ResolvedKey;
  readonly resolvedAtMs: number;
  /** Set while a background refresh runs. */
  refreshing: boolean;
}

const refreshAfterMs = 2_000;
/** How long a key that does not exist is not asked for again (SEC-32: at most 10 s). */
const unknownMs = 5_000;
/** Kept at most; the oldest fill goes first. */
const entriesMax = 100_000;
const unknownMax = 10_000;

export class KeyCache {
  private readonly ports: KeyCachePorts;
  private readonly boundMs: number;
  private readonly entries = new Map<string, Entry>();
  private readonly tombstones = new Map<string, number>();
  private readonly asking = new Map<string, Promise<ResolvedKey | undefined>>();
  private readonly running = new RunningKeys();
  /** When each of them was found not to exist. */
  private readonly unknown = new Map<string, number>();

  constructor(ports: KeyCachePorts, boundMs: number) {
    this.ports = ports;
    this.boundMs = boundMs;
  }

  /**
   * The key behind the text. `from`: the client's address, asked for only when the key is not in the cache. Throws AppError:
   * malformed, unknown, too many unknown ones, revoked, expired, or `unavailable`.
   */
  async authenticate(text: string, from: () => string): Promise<ResolvedKey> {
    if (!checkApiKey(text)) throw invalidKey("it is malformed: check that it was copied as a whole");
    const hash = hashApiKey(text);
    const nowMs = this.ports.clock.monotonicMs();
    const entry = this.entries.get(hash);
    if (!entry) return this.judge(hash, await this.askForNew(hash, nowMs, from));
    const ageMs = nowMs - entry.resolvedAtMs;
    if (ageMs > this.boundMs) return this.judge(hash, await this.ask(hash));
    if (ageMs > refreshAfterMs) this.refresh(hash, entry);
    return this.judge(hash, entry.key);
  }

  /** A revocation, by event or by the watched bucket. Sticky; order and repetition do not matter. */
  revoke(keyHash: string, version: number): void {
    this.tombstones.set(keyHash, Math.max(version, this.tombstones.get(keyHash) ?? 0));
    this.running.revoked(keyHash);
  }

  /** For a request that runs: `listener` is called once when the key is revoked, at once when it is already. Answers how to stop. */
  onRevoked(keyHash: string, listener: () => void): () => void {
    if (this.isRevoked(keyHash)) {
      listener();
      return () => undefined;
    }
    return this.running.add(keyHash, listener);
  }

  /**
   * To be called each second: asks again about keys that something runs with, when nothing newer is known of them, so that a
   * revocation that was lost reaches long streams too, whose key no new request asks about.
   */
  checkRunning(): void {
    const nowMs = this.ports.clock.monotonicMs();
    for (const hash of this.running.hashes()) {
      const entry = this.entries.get(hash);
      if (!entry) this.ask(hash).catch(() => undefined);
      else if (nowMs - entry.resolvedAtMs > refreshAfterMs) this.refresh(hash, entry);
    }
  }

  /** True when the key was revoked after the request was admitted: running streams ask. */
  isRevoked(keyHash: string): boolean {
    return this.tombstones.has(keyHash);
  }

  private judge(hash: string, key: ResolvedKey | undefined): ResolvedKey {
    if (!key) throw invalidKey("it is well-formed but does not exist here: is it a key of another installation?");
    const revokedVersion = this.tombstones.get(hash);
    if (key.status === "revoked" || (revokedVersion !== undefined && revokedVersion >= key.version)) {
      throw new AppError({
        kind: "unauthenticated",
        code: "key_revoked",
        publicMessage: "This API key was revoked. Create a new one in the dashboard under Keys.",
      });
    }
    if (key.expiresAt && key.expiresAt <= this.ports.clock.now()) {
      throw new AppError({
        kind: "unauthenticated",
        code: "key_expired",
        publicMessage: "This API key has expired. Create a new one in the dashboard under Keys.",
      });
    }
    return key;
  }

  /** A key that nobody here has seen lately. Who shares the answer of another's question asks nobody. */
  private async askForNew(hash: string, nowMs: number, from: () => string): Promise<ResolvedKey | undefined> {
    const foundAtMs = this.unknown.get(hash);
    if (foundAtMs !== undefined && nowMs - foundAtMs <= unknownMs) return undefined;
    const running = this.asking.get(hash);
    if (running) return running;
    const asked = this.ports.unknownKeys.ask(from());
    let isKnown: boolean | undefined;
    try {
      const key = await this.ask(hash);
      isKnown = key !== undefined;
      return key;
    } finally {
      asked.end(isKnown);
    }
  }

  private refresh(hash: string, entry: Entry): void {
    if (entry.refreshing) return;
    entry.refreshing = true;
    // A failed refresh leaves the entry as it is: it ends at its bound, and the next request then gets the error.
    this.ask(hash).then(
      () => undefined,
      () => {
        entry.refreshing = false;
      },
    );
  }

  private ask(hash: string): Promise<ResolvedKey | undefined> {
    const running = this.asking.get(hash);
    if (running) return running;
    const askedAtMs = this.ports.clock.monotonicMs();
    const asking = this.ports
      .resolve(hash)
      .then((key) => (key ? this.fill(hash, key, askedAtMs) : this.forget(hash, askedAtMs)))
      .finally(() => this.asking.delete(hash));
    this.asking.set(hash, asking);
    return asking;
  }

  /** Write-if-newer: an answer that was on its way while a newer one arrived must not replace it. What holds is returned. */
  private fill(hash: string, key: ResolvedKey, askedAtMs: number): ResolvedKey {
    const present = this.entries.get(hash);
    if (present && present.key.version > key.version) return present.key;
    this.unknown.delete(hash);
    remember(this.entries, hash, { key, resolvedAtMs: askedAtMs, refreshing: false }, entriesMax);
    if (key.status === "revoked") this.revoke(hash, key.version);
    return key;
  }

  private forget(hash: string, askedAtMs: number): undefined {
    this.entries.delete(hash);
    remember(this.unknown, hash, askedAtMs, unknownMax);
    return undefined;
  }
}

function remember<Value>(map: Map<string, Value>, hash: string, value: Value, sizeMax: number): void {
  map.delete(hash);
  map.set(hash, value);
  if (map.size <= sizeMax) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}

function invalidKey(why: string): AppError {
  return new AppError({
    kind: "unauthenticated",
    code: "invalid_api_key",
    publicMessage: `Incorrect API key provided: ${why}.`,
  });
}
