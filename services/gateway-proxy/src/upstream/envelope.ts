import { sealSecret, unsealSecret, type ChannelId, type UpstreamKeyId } from "@codex/kernel";
import { createHash, randomBytes } from "node:crypto";

/**
 * Upstream keys at rest and on the bus, by envelope encryption (SEC-41, SEC-43, SEC-44).
 *
 * Glossary
 *   data key     32 random bytes of one upstream key; seals its secret, bound to the key and its channel
 *   master key   the gateway's setting; wraps data keys, bound to the upstream key and the master key's version
 *   re-wrap      unwrap by the old master key, wrap by the new one; the secret itself is not opened
 */

export interface SealedKey {
  readonly sealedSecret: string;
  /** Null: a secret of the first version, sealed by the master key itself under the channel's name. */
  readonly wrappedKey: string | null;
  /** 0 goes with null. */
  readonly keyVersion: number;
}

export interface MasterKeys {
  readonly current: { readonly version: number; readonly secret: string };
  /** The one before, as long as something may be wrapped by it. */
  readonly previous?: string | undefined;
}

/** What binds an envelope to its place: moved to another row, it does not open. */
interface Place {
  readonly channelId: ChannelId;
  readonly keyId: UpstreamKeyId;
}

const secretContext = ({ channelId, keyId }: Place): string => `upstream-key:${channelId}:${keyId}`;
const wrapContext = ({ channelId, keyId }: Place, version: number): string =>
  `data-key:${channelId}:${keyId}:${String(version)}`;
const legacyContext = ({ channelId }: Place): string => `channel:${channelId}`;

export class Envelopes {
  readonly version: number;
  private readonly current: Buffer;
  private readonly previous: Buffer | undefined;

  constructor(keys: MasterKeys) {
    this.version = keys.current.version;
    this.current = derive(keys.current.secret);
    this.previous = keys.previous === undefined ? undefined : derive(keys.previous);
  }

  seal(secret: string, place: Place): SealedKey {
    const dataKey = randomBytes(32);
    return {
      sealedSecret: sealSecret(secret, dataKey, secretContext(place)),
      wrappedKey: this.wrap(dataKey, place),
      keyVersion: this.version,
    };
  }

  /** Throws when the envelope was altered, belongs to another place, or its master key is not here. */
  open(sealed: SealedKey, place: Place): string {
    if (sealed.wrappedKey === null) return this.openLegacy(sealed.sealedSecret, place);
    return unsealSecret(
      sealed.sealedSecret,
      this.unwrap(sealed.wrappedKey, sealed.keyVersion, place),
      secretContext(place),
    );
  }

  /** The same secret under the current master key; undefined when it is already. Throws like `open`. */
  rewrap(sealed: SealedKey, place: Place): SealedKey | undefined {
    if (sealed.keyVersion === this.version && sealed.wrappedKey !== null) return undefined;
    if (sealed.wrappedKey === null) return this.seal(this.openLegacy(sealed.sealedSecret, place), place);
    const dataKey = this.unwrap(sealed.wrappedKey, sealed.keyVersion, place);
    return {
      sealedSecret: sealed.sealedSecret,
      wrappedKey: this.wrap(dataKey, place),
      keyVersion: this.version,
    };
  }

  private wrap(dataKey: Buffer, place: Place): string {
    return sealSecret(dataKey.toString("base64"), this.current, wrapContext(place, this.version));
  }

  private unwrap(wrapped: string, version: number, place: Place): Buffer {
    const master = version === this.version ? this.current : version === this.version - 1 ? this.previous : undefined;
    if (!master) throw new Error(`no master key of version ${String(version)}`);
    return Buffer.from(unsealSecret(wrapped, master, wrapContext(place, version)), "base64");
  }

  /** Nothing tells which master key sealed it. */
  private openLegacy(sealedSecret: string, place: Place): string {
    try {
      return unsealSecret(sealedSecret, this.current, legacyContext(place));
    } catch (error) {
      if (!this.previous) throw error;
      return unsealSecret(sealedSecret, this.previous, legacyContext(place));
    }
  }
}

/** 32 bytes of a setting that has at least 32 random ones (its length is checked at start). */
function derive(setting: string): Buffer {
  return createHash("sha256").update(setting).digest();
}
