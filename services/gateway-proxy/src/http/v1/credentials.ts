import { AppError } from "@codex/kernel";
import type { IncomingMessage } from "node:http";

/**
 * The API key of a request, from `Authorization: Bearer` or `x-api-key` and nowhere else (SEC-33). Node keeps the first
 * of two Authorization headers in silence, so the raw list is read: a repeated header or two different keys are refused.
 * The value never enters an error.
 */
export function readApiKey(req: IncomingMessage): string {
  return keyOf(req, undefined);
}

/** How browsers, which cannot set headers of a websocket, send OpenAI's clients' key: as one of the subprotocols they offer. */
const subprotocolPrefix = "openai-insecure-api-key.";

/** The same for a request that asks for a websocket: `Sec-WebSocket-Protocol` may hold the key too, and is a header like the others. */
export function readWebSocketKey(req: IncomingMessage): string {
  const offered = (req.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  const keys = new Set(offered.filter((name) => name.startsWith(subprotocolPrefix)));
  if (keys.size > 1) throw conflicting("Sec-WebSocket-Protocol holds different keys");
  const [only] = keys;
  return keyOf(req, only?.slice(subprotocolPrefix.length));
}

function keyOf(req: IncomingMessage, offered: string | undefined): string {
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
  const key = bearer ?? plain ?? offered;
  if (offered !== undefined && offered !== key)
    throw conflicting("a header and Sec-WebSocket-Protocol hold different keys");
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
