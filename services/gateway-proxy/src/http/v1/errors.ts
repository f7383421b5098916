import { toOpenAiError } from "@codex/http";
import type { AppError, RequestId } from "@codex/kernel";
import type { ServerResponse } from "node:http";

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

/** Sends the error as the whole answer. `close` when the request's body was not read to its end. */
export function sendError(res: ServerResponse, rendered: RenderedError, close: boolean): void {
  if (close) res.setHeader("connection", "close");
  res.writeHead(rendered.status, {
    ...rendered.headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(rendered.body),
  });
  res.end(rendered.body);
}
