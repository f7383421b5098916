import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ApiError, type Dialect } from "./errors.ts";

/** The credential a caller sent, by either header: both are in use with both dialects. */
export function credentialOf(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const apiKey = headers["x-api-key"];
  return typeof apiKey === "string" && apiKey !== "" ? apiKey : undefined;
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Throws the dialect's 401 unless a credential is there and, where a key is set, is that key. */
export function requireCredential(headers: IncomingHttpHeaders, key: string | undefined, dialect: Dialect): void {
  const credential = credentialOf(headers);
  if (credential === undefined) {
    const message =
      dialect === "anthropic"
        ? "x-api-key header is required"
        : "You didn't provide an API key. Provide it in an Authorization header: Authorization: Bearer YOUR_KEY";
    throw new ApiError({ status: 401, message });
  }
  if (key === undefined || timingSafeEqual(digest(credential), digest(key))) return;
  throw new ApiError({
    status: 401,
    message: dialect === "anthropic" ? "invalid x-api-key" : "Incorrect API key provided.",
    code: "invalid_api_key",
  });
}
