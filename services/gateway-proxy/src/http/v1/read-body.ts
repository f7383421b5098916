import { AppError } from "@codex/kernel";
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { FormBody, JsonBody, RequestBody } from "../../domain/endpoint.ts";
import { boundaryOf, parseForm } from "../../domain/form.ts";
import { readJson, requestLimits } from "../../domain/json-scan.ts";
import type { BodyMemory, BodyShare } from "./body-memory.ts";
import { collect } from "./collect.ts";

/** Largest request body of /v1 (SEC-86); above what providers take: 25 MB of sound, 20 MB of pictures. */
export const bodyBytesMax = 33_554_432;

/**
 * Reads a body whole, because a channel that fails is followed by another one that gets the same bytes. Throws AppError 415,
 * 413, 400, or 503 when too many large bodies are in memory; a body that is too large is not read to its end.
 */
export async function readBody(
  req: IncomingMessage,
  accepts: readonly RequestBody["kind"][],
  memory: BodyMemory,
): Promise<{ readonly body: RequestBody; readonly share: BodyShare }> {
  const kind = kindOf(req, accepts);
  const share = memory.share();
  try {
    const bytes = await readBytes(req, share);
    return { body: kind === "json" ? jsonBody(bytes) : formBody(req, bytes), share };
  } catch (error) {
    share.release();
    throw error;
  }
}

/** Up to here a body is read in one go: it has said its length, which Node holds it to, and is never too much for the memory. */
const smallBytes = 65_536;

async function readBytes(req: IncomingMessage, share: BodyShare): Promise<Buffer> {
  const length = Number(req.headers["content-length"] ?? Number.NaN);
  if (length <= smallBytes) return collect(req, (bytes) => share.take(bytes));
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax) throw tooLarge();
    share.take(chunk.length);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

function jsonBody(bytes: Buffer): JsonBody {
  if (bytes.length === 0) throw malformed("The request body is empty; send a JSON object.");
  if (!isUtf8(bytes)) throw malformed("The request body is not text in UTF-8.");
  try {
    return { kind: "json", ...readJson(bytes, requestLimits) };
  } catch (error) {
    throw error instanceof AppError ? error : malformed("We could not parse the JSON body of your request.");
  }
}

function formBody(req: IncomingMessage, bytes: Buffer): FormBody {
  return { kind: "form", size: bytes.length, parts: parseForm(bytes, boundaryOf(req.headers["content-type"] ?? "")) };
}

function kindOf(req: IncomingMessage, accepts: readonly RequestBody["kind"][]): RequestBody["kind"] {
  const type = (req.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  const kind = type === "application/json" ? "json" : type === "multipart/form-data" ? "form" : undefined;
  if (kind === undefined || !accepts.includes(kind)) {
    const names = accepts.map((one) => (one === "json" ? "`application/json`" : "`multipart/form-data`"));
    throw unsupported(`Send the request body as Content-Type ${names.join(" or ")}.`);
  }
  const encoding = req.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw unsupported("Compressed request bodies are not accepted; send the body without Content-Encoding.");
  }
  if (Number(req.headers["content-length"] ?? 0) > bodyBytesMax) throw tooLarge();
  return kind;
}

function malformed(publicMessage: string): AppError {
  return new AppError({ kind: "invalid", code: "malformed_json", publicMessage });
}

function unsupported(message: string): AppError {
  return new AppError({ kind: "unsupported_media", code: "unsupported_media_type", publicMessage: message });
}

function tooLarge(): AppError {
  return new AppError({
    kind: "too_large",
    code: "request_too_large",
    publicMessage: `The request body is larger than ${bodyBytesMax} bytes. Send a shorter prompt or smaller files.`,
  });
}
