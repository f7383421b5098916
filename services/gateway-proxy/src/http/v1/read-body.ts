import { AppError } from "@codex/kernel";
import type { IncomingMessage } from "node:http";

/** Largest request body of /v1 JSON routes (SEC-86). */
export const bodyBytesMax = 33_554_432;

export interface JsonBody {
  readonly value: unknown;
  readonly bytes: number;
}

/** Reads and parses a JSON body. Throws AppError 415, 413 or 400; a body that is too large is not read to its end. */
export async function readJsonBody(req: IncomingMessage): Promise<JsonBody> {
  checkHeaders(req);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  try {
    return { value: JSON.parse(body.toString("utf8")) as unknown, bytes };
  } catch {
    throw new AppError({
      kind: "invalid",
      code: "malformed_json",
      publicMessage:
        bytes === 0
          ? "The request body is empty; send a JSON object."
          : "We could not parse the JSON body of your request.",
    });
  }
}

function checkHeaders(req: IncomingMessage): void {
  const type = (req.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw unsupported("Send the request body as `Content-Type: application/json`.");
  }
  const encoding = req.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw unsupported("Compressed request bodies are not accepted; send the body without Content-Encoding.");
  }
  const length = Number(req.headers["content-length"] ?? 0);
  if (length > bodyBytesMax) throw tooLarge();
}

function unsupported(message: string): AppError {
  return new AppError({ kind: "unsupported_media", code: "unsupported_media_type", publicMessage: message });
}

function tooLarge(): AppError {
  return new AppError({
    kind: "too_large",
    code: "request_too_large",
    publicMessage: `The request body is larger than ${bodyBytesMax} bytes. Send a shorter prompt or smaller images.`,
  });
}
