import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/**
 * Upstream keys at rest and on the bus: AES-256-GCM under a key that only this service holds (SEC-41, SEC-44). The
 * channel id is authenticated with it, so that a secret cannot be moved to another channel's row.
 * Form: base64 of `version u8 | nonce 12 | tag 16 | ciphertext`.
 */

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

export function seal(plaintext: string, key: Buffer, channelId: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(`channel:${channelId}:v${version}`));
  const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
  return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), sealed]).toString("base64");
}

/** Throws when the envelope was altered, belongs to another channel or was sealed under another key. */
export function unseal(envelope: string, key: Buffer, channelId: string): string {
  const bytes = Buffer.from(envelope, "base64");
  if (bytes[0] !== version || bytes.length < 1 + nonceBytes + tagBytes) throw new Error("not a sealed secret");
  const nonce = bytes.subarray(1, 1 + nonceBytes);
  const tag = bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(`channel:${channelId}:v${version}`));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(bytes.subarray(1 + nonceBytes + tagBytes)), decipher.final()]).toString("utf8");
}
