import type { IncomingMessage, ServerResponse } from "node:http";
import { appError } from "./error-catalogue.ts";
import { parseJson } from "./json.ts";

/** The client went away before its request was complete; there is nobody to answer. */
export class ClientGoneError extends Error {
  constructor() {
    super("the client closed the connection");
    this.name = "ClientGoneError";
  }
}

const jsonType = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

/** True when the request announces a body, of whatever size. */
export function hasBody(req: IncomingMessage): boolean {
  if (req.headers["transfer-encoding"] !== undefined) return true;
  const length = req.headers["content-length"];
  return length !== undefined && length !== "0";
}

/** Refuses what is not plain JSON before a byte is read. A compressed body could be a bomb, and nobody needs one here. */
export function assertJsonContent(req: IncomingMessage): void {
  const encoding = req.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw appError("unsupported_media_type", "The body must not be compressed: remove Content-Encoding.");
  }
  if (!jsonType.test(req.headers["content-type"] ?? "")) {
    throw appError("unsupported_media_type", "The body must be JSON in UTF-8, with Content-Type: application/json.");
  }
}

function tooLarge(limitBytes: number): Error {
  return appError(
    "request_too_large",
    `The body is larger than ${String(limitBytes)} bytes, the most this route takes.`,
  );
}

/**
 * The whole body, at most `limitBytes`. A larger one is refused at its announced length, or at the chunk that crosses the
 * limit; what is buffered never exceeds the limit by more than one chunk. Throws `request_too_large` or ClientGoneError.
 */
export function readBody(req: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const announced = req.headers["content-length"];
  if (announced !== undefined && Number(announced) > limitBytes) return Promise.reject(tooLarge(limitBytes));
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  const settle = (finish: () => void): void => {
    req.off("data", onData).off("end", onEnd).off("close", onGone).off("error", onGone);
    finish();
  };
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= limitBytes) {
      chunks.push(chunk);
      return;
    }
    chunks.length = 0;
    req.pause();
    settle(() => reject(tooLarge(limitBytes)));
  };
  const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
  const onGone = (): void => settle(() => reject(new ClientGoneError()));
  req.on("data", onData).on("end", onEnd).on("close", onGone).on("error", onGone);
  return promise;
}

/** Reads and parses. Undefined when the request has no body. */
export async function readJson(req: IncomingMessage, limitBytes: number): Promise<unknown> {
  if (!hasBody(req)) return undefined;
  assertJsonContent(req);
  const bytes = await readBody(req, limitBytes);
  return bytes.length === 0 ? undefined : parseJson(bytes);
}

/**
 * Ends an answer so that it reaches a client that is still sending its body: the answer goes out at once, and the rest of
 * the body is read and thrown away for at most `lingerMs` before the connection may close. Closing a socket with unread
 * bytes resets it, and the client would see the reset instead of the answer. Headers and `content-length` must be set.
 */
export function endReply(req: IncomingMessage, res: ServerResponse, body: Uint8Array | string, lingerMs: number): void {
  if (req.complete || !hasBody(req) || req.destroyed) {
    res.end(body);
    return;
  }
  res.flushHeaders();
  res.write(body);
  const timer = setTimeout(() => {
    done();
    req.socket.destroy();
  }, lingerMs).unref();
  const done = (): void => {
    clearTimeout(timer);
    req.off("end", done).off("close", done);
    res.end();
  };
  req.on("end", done).on("close", done).resume();
}
