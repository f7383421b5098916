import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";

/** Writes small, real PNG files (PNG specification, third edition, W3C 2025): 4 bits a pixel over a palette of 16. */

const deflateAsync = promisify(deflate);
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const tilesAcross = 8;

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function header(width: number, height: number): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data.set([4, 3, 0, 0, 0], 8); // bit depth 4, palette colour, the only compression and filter methods, no interlace
  return data;
}

/**
 * A mosaic whose colours and tiles follow from `text`, mirrored left to right. Deterministic; a few kilobytes at any size
 * up to 4,096 × 4,096.
 */
export async function drawPng(text: string, width: number, height: number): Promise<Buffer> {
  const colours = createHash("shake256", { outputLength: 48 }).update(text).digest();
  const tiles = createHash("shake256", { outputLength: tilesAcross * tilesAcross })
    .update(`tiles ${text}`)
    .digest();
  const rowBytes = Math.ceil(width / 2);
  const pixels = Buffer.alloc((rowBytes + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const start = y * (rowBytes + 1) + 1; // the byte before a row names its filter: 0, none
    const tileRow = Math.floor((y * tilesAcross) / height) * tilesAcross;
    for (let byte = 0; byte < rowBytes; byte += 1) {
      const across = Math.floor((byte * 2 * tilesAcross) / width);
      const mirrored = Math.min(across, tilesAcross - 1 - across);
      const colour = (tiles[tileRow + Math.max(0, mirrored)] ?? 0) & 0x0f;
      pixels[start + byte] = (colour << 4) | colour;
    }
  }
  return Buffer.concat([
    signature,
    chunk("IHDR", header(width, height)),
    chunk("PLTE", colours),
    chunk("IDAT", await deflateAsync(pixels)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
