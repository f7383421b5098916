import { sealSecret, unsealSecret } from "@codex/kernel";

/** Upstream keys at rest and on the bus: kernel's sealed secret, bound to the channel's id. */
export function seal(plaintext: string, key: Buffer, channelId: string): string {
  return sealSecret(plaintext, key, `channel:${channelId}`);
}

/** Throws when the envelope was altered, belongs to another channel or was sealed under another key. */
export function unseal(envelope: string, key: Buffer, channelId: string): string {
  return unsealSecret(envelope, key, `channel:${channelId}`);
}
