import { AppError } from "@codex/kernel";
import type { IncomingMessage } from "node:http";

/**
 * The API key of a request, from `Authorization: Bearer` or `x-api-key` and nowhere else (SEC-33). Node keeps the first
 * of two Authorization headers in silence, so the raw list is read: a repeated header or two different keys are refused.
 * The value never enters an error.
 */
export function readApiKey(req: IncomingMessage): string {
  let bearer: string | undefined;
  let plain: string | undefined;
  const raw = req.rawHeaders;
  let hosts = 0;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = raw[index + 1] ?? "";
    if (name === "authorization") {
      if (bearer !== undefined) throw conflicting("the Authorization header is there more than once");
      bearer = /^Bearer +(\S+)$/i.exec(value.trim())?.[1] ?? "";
    } else if (name === "x-api-key") {
      if (plain !== undefined) throw conflicting("the x-api-key header is there more than once");
      plain = value.trim();
    } else if (name === "host") {
      hosts += 1;
    }
  }
  if (hosts > 1) throw conflicting("the Host header is there more than once");
  if (bearer && plain && bearer !== plain) throw conflicting("Authorization and x-api-key hold different keys");
  const key = bearer ?? plain;
  if (key === undefined || key === "") {
    throw new AppError({
      kind: "unauthenticated",
      code: "missing_api_key",
      publicMessage:
        "You didn't provide an API key. Send it as `Authorization: Bearer <key>` or in the `x-api-key` header.",
    });
  }
  return key;
}

function conflicting(why: string): AppError {
  return new AppError({
    kind: "invalid",
    code: "conflicting_credentials",
    publicMessage: `The request's credentials are ambiguous: ${why}.`,
  });
}
