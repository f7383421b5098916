import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * Password verifiers as Postgres stores them (RFC 5802, RFC 7677; PostgreSQL manual, pg_authid):
 * `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`. Made here, so that a password never stands in a statement
 * that the server may log.
 */

const iterationsDefault = 4096;
const verifierPattern = /^SCRAM-SHA-256\$(\d{4,7}):([A-Za-z0-9+/=]+)\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/;

/** Throws unless the password is printable ASCII; others would need SASLprep (RFC 4013), which pg does not do either. */
export function checkPassword(password: string): void {
  if (!/^[\x20-\x7e]{1,256}$/.test(password)) {
    throw new Error("a database password must be 1 to 256 printable ASCII characters");
  }
}

/** A fresh verifier of a password. Throws as {@link checkPassword}. */
export function scramVerifier(
  password: string,
  salt: Buffer = randomBytes(16),
  iterations: number = iterationsDefault,
): string {
  checkPassword(password);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  const storedKey = createHash("sha256").update(clientKey).digest("base64");
  const serverKey = createHmac("sha256", salted).update("Server Key").digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}

/** Whether a stored verifier is that of the password; false for any other form. */
export function verifies(stored: string | null, password: string): boolean {
  const match = stored === null ? null : verifierPattern.exec(stored);
  if (stored === null || !match) return false;
  const expected = Buffer.from(scramVerifier(password, Buffer.from(match[2] ?? "", "base64"), Number(match[1])));
  const actual = Buffer.from(stored);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
