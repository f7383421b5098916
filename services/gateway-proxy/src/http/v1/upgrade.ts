import { AppError, newId } from "@codex/kernel";
import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { V1Context } from "./context.ts";
import { renderError, sendError, type RenderedError } from "./errors.ts";

/**
 * What asks for a websocket. Codex tries one on GET /v1/responses first and falls back to plain requests at once and in silence
 * only for a 426; any other refusal costs seven attempts and five lines on the user's screen (clients.md §2). A proxy in front may
 * have taken the Upgrade header away, so the bare GET gets the same answer.
 */
const status = 426;
/** The one path on which a websocket is taken (src/http/realtime). */
export const realtimePath = "/v1/realtime";
const upgradeHeaders = { upgrade: "HTTP/1.1", connection: "close, Upgrade" };

function upgradeRequired(isRealtime = false): AppError {
  return new AppError({
    kind: "invalid",
    code: "upgrade_required",
    publicMessage: isRealtime
      ? "This is a websocket: open it as such. A proxy in between must pass the Upgrade header on."
      : "WebSockets are not served here: send the request as POST with `stream: true`.",
  });
}

export function answerUpgradeRequired({ req, res, requestId, facts }: V1Context): void {
  facts.code = "upgrade_required";
  const isRealtime = req.url?.split("?")[0] === realtimePath;
  const { headers, body } = renderError("openai", upgradeRequired(isRealtime), requestId);
  sendError(req, res, { status, headers: { ...headers, ...upgradeHeaders }, body });
}

/** On the bare socket, which node hands over with the request. */
export function refuseWebSocket(_req: IncomingMessage, socket: Duplex): void {
  // A client that resets the connection is an ordinary event; nothing is left to be told.
  socket.on("error", () => socket.destroy());
  const { headers, body } = renderError("openai", upgradeRequired(), newId("req"));
  endSocket(socket, { status, headers: { ...headers, ...upgradeHeaders }, body });
}

/** An answer on the bare socket, and its end. */
export function endSocket(socket: Duplex, { status: code, headers, body }: RenderedError): void {
  const head = { ...headers, "content-length": String(Buffer.byteLength(body)) };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ""}\r\n${lines.join("")}\r\n${body}`);
}
