import type { Readable } from "node:stream";

/**
 * The whole of a stream of bytes. By its events: an async iterator costs several promises a piece, and most bodies are one
 * piece. `check` gets each piece's length and throws to stop: then the stream is left as it is, and no more of it is looked at.
 * Rejects when the stream breaks off.
 */
export function collect(stream: Readable, check: (bytes: number) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const stop = (error: unknown): void => {
      stream.off("data", onData);
      stream.off("end", onEnd);
      stream.off("close", onClose);
      reject(error instanceof Error ? error : new Error("the stream broke off", { cause: error }));
    };
    const onData = (piece: Buffer): void => {
      try {
        check(piece.length);
        pieces.push(piece);
      } catch (error) {
        stop(error);
      }
    };
    const onEnd = (): void => {
      resolve(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces));
    };
    const onClose = (): void => {
      if (!stream.readableEnded) stop(new Error("the stream was closed before its end"));
    };
    stream.on("data", onData);
    stream.once("end", onEnd);
    stream.once("close", onClose);
    // Stays: an error that comes after the answer is known has nobody else to go to.
    stream.on("error", stop);
  });
}
