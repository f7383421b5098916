import { endReply, toOpenAiError } from "@codex/http/edge";
import type { AppError, RequestId } from "@codex/kernel";
import type { IncomingMessage, ServerResponse } from "node:http";

export interface RenderedError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The OpenAI form of an error, ready to be sent or to become an event of a running stream. */
export function renderError(error: AppError, requestId: RequestId): RenderedError {
  const { status, headers, body } = toOpenAiError(error, requestId);
  return { status, headers, body: JSON.stringify(body) };
}

/** How long the rest of a refused body is read and thrown away; a socket closed on unread bytes would lose the answer. */
const lingerMs = 5_000;

/** Sends the error as the whole answer, also while the client is still sending its body. */
export function sendError(req: IncomingMessage, res: ServerResponse, rendered: RenderedError): void {
  res.statusCode = rendered.status;
  for (const [name, value] of Object.entries(rendered.headers)) res.setHeader(name, value);
  res.setHeader("content-type", "application/json");
  endReply(req, res, rendered.body, lingerMs);
}
