import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/**
 * Secrets at rest: AES-256-GCM under a key that one service alone holds (SEC-41, SEC-44). What the secret belongs to, the
 * `context`, is authenticated with it, so that a sealed secret cannot be moved to another row.
 * Form: base64 of `version u8 | nonce 12 | tag 16 | ciphertext`.
 */

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/** `key` has 32 bytes. `context` names the owner, "channel:chn_…"; it is not secret and not stored in the envelope. */
export function sealSecret(plaintext: string, key: Uint8Array, context: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(`${context}:v${String(version)}`));
  const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
  return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), sealed]).toString("base64");
}

/** Throws when the envelope was altered, belongs to another context or was sealed under another key. */
export function unsealSecret(envelope: string, key: Uint8Array, context: string): string {
  const bytes = Buffer.from(envelope, "base64");
  if (bytes[0] !== version || bytes.length < 1 + nonceBytes + tagBytes) throw new Error("not a sealed secret");
  const nonce = bytes.subarray(1, 1 + nonceBytes);
  const tag = bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(`${context}:v${String(version)}`));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(bytes.subarray(1 + nonceBytes + tagBytes)), decipher.final()]).toString("utf8");
}
