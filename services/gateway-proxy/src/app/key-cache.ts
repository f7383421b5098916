import type { KeyLimits } from "@codex/contracts";
import { AppError, checkApiKey, hashApiKey, type AccountId, type Clock, type KeyId } from "@codex/kernel";
import type { AddressList } from "../domain/address-list.ts";
import type { KeyCaps } from "./lease-ports.ts";

/**
 * Who a key belongs to, without asking each time (SEC-32, SEC-35, SEC-36).
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
  readonly clock: Clock;
}

interface Entry {
  /** Undefined = known not to exist. */
  readonly key: ResolvedKey | undefined;
  readonly resolvedAtMs: number;
  /** Set while a background refresh runs. */
  refreshing: boolean;
}

const refreshAfterMs = 2_000;
const negativeMs = 5_000;
/** Entries kept at most; the oldest fill goes first. */
const entriesMax = 100_000;

export class KeyCache {
  private readonly ports: KeyCachePorts;
  private readonly boundMs: number;
  private readonly entries = new Map<string, Entry>();
  private readonly tombstones = new Map<string, number>();
  private readonly asking = new Map<string, Promise<Entry>>();

  constructor(ports: KeyCachePorts, boundMs: number) {
    this.ports = ports;
    this.boundMs = boundMs;
  }

  /** The key behind the text. Throws AppError: malformed, unknown, revoked, expired, or `unavailable`. */
  async authenticate(text: string): Promise<ResolvedKey> {
    if (!checkApiKey(text)) throw invalidKey("it is malformed: check that it was copied as a whole");
    const hash = hashApiKey(text);
    const nowMs = this.ports.clock.monotonicMs();
    let entry = this.entries.get(hash);
    const ageMs = entry ? nowMs - entry.resolvedAtMs : Infinity;
    if (!entry || ageMs > (entry.key ? this.boundMs : negativeMs)) entry = await this.ask(hash);
    else if (entry.key && ageMs > refreshAfterMs) this.refresh(hash, entry);
    return this.judge(hash, entry.key);
  }

  /** A revocation, by event or by the watched bucket. Sticky; order and repetition do not matter. */
  revoke(keyHash: string, version: number): void {
    this.tombstones.set(keyHash, Math.max(version, this.tombstones.get(keyHash) ?? 0));
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

  private ask(hash: string): Promise<Entry> {
    const running = this.asking.get(hash);
    if (running) return running;
    const askedAtMs = this.ports.clock.monotonicMs();
    const asking = this.ports
      .resolve(hash)
      .then((key) => this.fill(hash, key, askedAtMs))
      .finally(() => this.asking.delete(hash));
    this.asking.set(hash, asking);
    return asking;
  }

  /** Write-if-newer: an answer that was on its way while a newer one arrived must not replace it. */
  private fill(hash: string, key: ResolvedKey | undefined, askedAtMs: number): Entry {
    const present = this.entries.get(hash);
    if (present?.key && key && present.key.version > key.version) return present;
    const entry: Entry = { key, resolvedAtMs: askedAtMs, refreshing: false };
    this.entries.delete(hash);
    this.entries.set(hash, entry);
    if (key?.status === "revoked") this.revoke(hash, key.version);
    if (this.entries.size > entriesMax) {
      const oldest = this.entries.keys().next();
      if (oldest.done !== true) this.entries.delete(oldest.value);
    }
    return entry;
  }
}

function invalidKey(why: string): AppError {
  return new AppError({
    kind: "unauthenticated",
    code: "invalid_api_key",
    publicMessage: `Incorrect API key provided: ${why}.`,
  });
}
