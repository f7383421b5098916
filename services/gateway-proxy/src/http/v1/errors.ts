import { endReply, toAnthropicError, toOpenAiError } from "@codex/http/edge";
import type { AppError, RequestId } from "@codex/kernel";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Dialect } from "../../domain/endpoint.ts";
import type { StreamState } from "../../domain/stream-state.ts";

export interface RenderedError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An error as the whole answer, in the form that the client's own library reads. */
export function renderError(dialect: Dialect, error: AppError, requestId: RequestId): RenderedError {
  const render = dialect === "anthropic" ? toAnthropicError : toOpenAiError;
  const { status, headers, body } = render(error, requestId);
  return { status, headers, body: JSON.stringify(body) };
}

/**
 * The last events of a stream that is cut: an error of the dialect and no sign of a clean end. Chat's clients look for an
 * `error` in the data, Anthropic's for an event of that name; a dialect that needs more says so itself.
 */
export function renderCut(
  dialect: Dialect,
  error: AppError,
  requestId: RequestId,
  cut: StreamState["cut"] | undefined,
): string {
  if (cut) {
    const { message, type, code, param } = toOpenAiError(error, requestId).body.error;
    const events = cut({ message, type, code, param });
    return events.map(({ name, data }) => `event: ${name ?? "error"}\ndata: ${data.toString()}\n\n`).join("");
  }
  const { body } = renderError(dialect, error, requestId);
  return dialect === "anthropic" ? `event: error\ndata: ${body}\n\n` : `data: ${body}\n\n`;
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
