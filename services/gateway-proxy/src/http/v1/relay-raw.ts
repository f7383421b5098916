import type { MeteredRequest } from "../../app/metered-request.ts";
import type { ParsedRequest, RawAnswer } from "../../domain/endpoint.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import type { ServerResponse } from "node:http";
import { drained } from "./drained.ts";
import { note, unusable } from "./relay-json.ts";

/** Enough to know how dense a sound file's frames are: seconds of them. */
const headBytes = 65_536;
const rawBytesMax = 268_435_456;

/**
 * Passes bytes on as they come, sound mostly. One chunk is kept back, so that the charge is spooled before the last byte
 * goes out. An answer that is cut is cut for the client too: it has a length, or ends in the middle of its chunks.
 */
export async function relayRaw<R extends ParsedRequest>(
  upstream: UpstreamResponse,
  format: RawAnswer<R>,
  parsed: R,
  request: MeteredRequest,
  res: ServerResponse,
  checkAlive: () => void,
  stalledReaderMs: number,
): Promise<void> {
  if (upstream.contentType.startsWith("application/json")) {
    upstream.body.discard();
    throw unusable("answer is JSON where bytes were asked for");
  }
  let head: Buffer = Buffer.alloc(0);
  let size = 0;
  let kept: Buffer | undefined;
  for await (const chunk of upstream.body) {
    checkAlive();
    if (chunk.length === 0) continue;
    if (head.length < headBytes) head = Buffer.concat([head, chunk.subarray(0, headBytes - head.length)]);
    size += chunk.length;
    if (size > rawBytesMax) throw unusable("answer exceeds its bound");
    if (kept) {
      begin(res, format.contentType(parsed), request);
      // What a client that leaves now has got: the sound so far, measured by its length.
      request.audioMs = format.metered(parsed, head, size - chunk.length).audioMs ?? 0;
      request.answered = true;
      if (!res.write(kept)) await drained(res, stalledReaderMs);
    }
    kept = chunk;
  }
  if (!kept) throw unusable("answer is empty");
  note(request, format.metered(parsed, head, size));
  request.close({ ending: "finished", httpStatus: 200, errorCode: null });
  begin(res, format.contentType(parsed), request);
  res.end(kept);
}

function begin(res: ServerResponse, contentType: string, request: MeteredRequest): void {
  request.firstByte();
  if (!res.headersSent) res.writeHead(200, { "content-type": contentType, "cache-control": "no-store" });
}
