import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ClientGoneError } from "./body.ts";

/** A download that takes longer is cut, so that a reader that stalls does not hold a place for ever. */
const streamTimeoutMs = 600_000;

/**
 * Sends text that is not JSON. Pieces are asked for as fast as the client reads them and no faster, so memory stays within
 * one piece and the socket's buffer. When a piece cannot be had, or the time is up, the connection is cut: without the last
 * chunk the client sees that the download is not whole. Status and content type must be set.
 */
export async function sendContent(
  req: IncomingMessage,
  res: ServerResponse,
  content: string | AsyncIterable<string>,
): Promise<void> {
  if (typeof content === "string") {
    const bytes = Buffer.from(content);
    res.setHeader("content-length", bytes.length);
    res.end(req.method === "HEAD" ? "" : bytes);
    return;
  }
  if (req.method === "HEAD") {
    res.end();
    return;
  }
  try {
    await pipeline(Readable.from(content, { objectMode: true, highWaterMark: 1 }), res, {
      signal: AbortSignal.timeout(streamTimeoutMs),
    });
  } catch (error) {
    if (isClientGone(error)) throw new ClientGoneError();
    throw error;
  }
}

function isClientGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
}
