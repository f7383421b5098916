import { createHash, randomBytes } from "node:crypto";
import { sealSecret, unsealSecret } from "./sealed-secret.ts";

/**
 * Envelope encryption (SEC-41, SEC-43): a secret is sealed by a data key, the data key is wrapped by a master key.
 *
 * Glossary
 *   data key     32 random bytes; stored wrapped only, beside what it seals
 *   master key   a setting of one service; its version grows with each change of it
 *   re-wrap      unwrap by the master key before, wrap by the present one; what the data key seals is not opened
 */
export interface MasterKeySettings {
  readonly current: { readonly version: number; readonly secret: string };
  /** The one before, as long as something may be wrapped by it. */
  readonly previous?: string | undefined;
  /** The one after, while processes are restarted one by one: what those that have it already wrap is opened too. */
  readonly next?: string | undefined;
}

export interface WrappedKey {
  readonly wrapped: string;
  /** Of the master key. */
  readonly version: number;
}

export class MasterKeys {
  readonly version: number;
  private readonly current: Buffer;
  private readonly previous: Buffer | undefined;
  private readonly next: Buffer | undefined;

  constructor({ current, previous, next }: MasterKeySettings) {
    this.version = current.version;
    this.current = derive(current.secret);
    this.previous = previous === undefined ? undefined : derive(previous);
    this.next = next === undefined ? undefined : derive(next);
  }

  /** `context` names what the data key belongs to; wrapped for one place, it does not open at another. */
  wrap(dataKey: Buffer, context: string): WrappedKey {
    const wrapped = sealSecret(dataKey.toString("base64"), this.current, versioned(context, this.version));
    return { wrapped, version: this.version };
  }

  /** Throws when it was altered, belongs to another place, or its master key is not here. */
  unwrap({ wrapped, version }: WrappedKey, context: string): Buffer {
    const master = this.masterOf(version);
    if (!master) throw new Error(`no master key of version ${String(version)}`);
    return Buffer.from(unsealSecret(wrapped, master, versioned(context, version)), "base64");
  }

  private masterOf(version: number): Buffer | undefined {
    switch (version) {
      case this.version:
        return this.current;
      case this.version - 1:
        return this.previous;
      case this.version + 1:
        return this.next;
      default:
        return undefined;
    }
  }

  /** The same data key under the present master key; undefined when it is already, or under the one after. Throws like `unwrap`. */
  rewrap(key: WrappedKey, context: string): WrappedKey | undefined {
    return key.version >= this.version ? undefined : this.wrap(this.unwrap(key, context), context);
  }

  /** What a master key has sealed itself, without a data key; nothing tells which one. Throws when it was neither. */
  unsealDirectly(sealed: string, context: string): string {
    try {
      return unsealSecret(sealed, this.current, context);
    } catch (error) {
      if (!this.previous) throw error;
      return unsealSecret(sealed, this.previous, context);
    }
  }
}

export function newDataKey(): Buffer {
  return randomBytes(32);
}

const versioned = (context: string, version: number): string => `${context}:${String(version)}`;

/** 32 bytes of a setting that has at least 32 random ones (its length is checked at start). */
function derive(setting: string): Buffer {
  return createHash("sha256").update(setting).digest();
}
