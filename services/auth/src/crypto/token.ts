import { createHash, randomBytes } from "node:crypto";

/** 256 random bits in base64url: 43 characters that fit a link and a header (SEC-27). */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/** What is stored of a token. Plain SHA-256 is enough for 256 random bits: there is nothing to guess. */
export function hashOfToken(token: string): Buffer {
  return createHash("sha256").update(token, "utf8").digest();
}
