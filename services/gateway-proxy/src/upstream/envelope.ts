import {
  MasterKeys,
  newDataKey,
  sealSecret,
  unsealSecret,
  type ChannelId,
  type MasterKeySettings,
  type UpstreamKeyId,
} from "@codex/kernel";

/**
 * Upstream keys at rest and on the bus, by envelope encryption (SEC-41, SEC-43, SEC-44): each has a data key of its own, bound to
 * the key and its channel; see the kernel's MasterKeys for the words.
 */

export interface SealedKey {
  readonly sealedSecret: string;
  /** Null: a secret of the first version, sealed by the master key itself under the channel's name. */
  readonly wrappedKey: string | null;
  /** 0 goes with null. */
  readonly keyVersion: number;
}

/** What binds an envelope to its place: moved to another row, it does not open. */
interface Place {
  readonly channelId: ChannelId;
  readonly keyId: UpstreamKeyId;
}

const secretContext = ({ channelId, keyId }: Place): string => `upstream-key:${channelId}:${keyId}`;
const wrapContext = ({ channelId, keyId }: Place): string => `data-key:${channelId}:${keyId}`;
const legacyContext = ({ channelId }: Place): string => `channel:${channelId}`;

export class Envelopes {
  private readonly masters: MasterKeys;

  constructor(keys: MasterKeySettings) {
    this.masters = new MasterKeys(keys);
  }

  get version(): number {
    return this.masters.version;
  }

  seal(secret: string, place: Place): SealedKey {
    const dataKey = newDataKey();
    const { wrapped, version } = this.masters.wrap(dataKey, wrapContext(place));
    return {
      sealedSecret: sealSecret(secret, dataKey, secretContext(place)),
      wrappedKey: wrapped,
      keyVersion: version,
    };
  }

  /** Throws when the envelope was altered, belongs to another place, or its master key is not here. */
  open({ sealedSecret, wrappedKey, keyVersion }: SealedKey, place: Place): string {
    if (wrappedKey === null) return this.masters.unsealDirectly(sealedSecret, legacyContext(place));
    const dataKey = this.masters.unwrap({ wrapped: wrappedKey, version: keyVersion }, wrapContext(place));
    return unsealSecret(sealedSecret, dataKey, secretContext(place));
  }

  /** The same secret under the current master key; undefined when it is already. Throws like `open`. */
  rewrap({ sealedSecret, wrappedKey, keyVersion }: SealedKey, place: Place): SealedKey | undefined {
    if (wrappedKey === null) return this.seal(this.masters.unsealDirectly(sealedSecret, legacyContext(place)), place);
    const rewrapped = this.masters.rewrap({ wrapped: wrappedKey, version: keyVersion }, wrapContext(place));
    return rewrapped && { sealedSecret, wrappedKey: rewrapped.wrapped, keyVersion: rewrapped.version };
  }
}
