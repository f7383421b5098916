import { isObject } from "../fields.ts";

/** Bytes of sound for a millisecond: PCM of 24 kHz and 16 bit, or G.711 of 8 kHz and 8 bit. */
export const pcmBytesPerMs = 48;
const g711BytesPerMs = 8;

/** Of `session.audio.input.format` or `.output.format`; undefined when the object does not say. */
export function bytesPerMsOf(format: unknown): number | undefined {
  const type = isObject(format) ? format["type"] : undefined;
  if (type === "audio/pcm") return pcmBytesPerMs;
  return type === "audio/pcmu" || type === "audio/pcma" ? g711BytesPerMs : undefined;
}

/** How long base64 text of this length plays. */
export function base64Ms(characters: number, bytesPerMs: number): number {
  return (characters * 3) / 4 / bytesPerMs;
}
