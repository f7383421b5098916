import { AppError } from "@codex/kernel";
import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";

/**
 * Breached passwords out of a file that an operator mounts (SEC-12): one SHA-1 a line in hex, sorted, as "Have I been pwned" gives it
 * ordered by hash ("<40 hex>:<count>"); how to make one of a list of passwords is in the README. Nothing is asked on a network.
 *
 * The file stays where it is: a look is a binary search that reads some blocks of it, so a file of 40 GB takes no more memory than
 * one of 4 kB. SHA-1 only names the line here; it protects nothing.
 */
export interface BreachList {
  /** Rejects with AppError `unavailable` when the file cannot be read any more: nobody gets a password that was not looked at. */
  has(password: string): Promise<boolean>;
  close(): Promise<void>;
}

export const noBreachList: BreachList = { has: () => Promise.resolve(false), close: () => Promise.resolve() };

const linePattern = /^[0-9A-F]{40}(:\d{1,12})?\r?$/;
const hashLength = 40;
/** Hash, colon, count of twelve digits, carriage return and newline: a line is never longer. */
const lineBytesMax = 64;
const blockBytes = 4_096;
/** Places over the whole file that are looked at when it is opened. */
const samples = 1_000;

/** Throws an Error that says what is wrong with the file, and where. */
export async function openBreachList(path: string): Promise<BreachList> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw badFile(path, "cannot be opened", error);
  });
  try {
    const { size } = await file.stat();
    await assertSorted(file, path, size);
    return {
      has: (password) => contains(file, size, hashOf(password)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function hashOf(password: string): string {
  return createHash("sha1").update(password, "utf8").digest("hex").toUpperCase();
}

function badFile(path: string, problem: string, cause?: unknown): Error {
  return new Error(
    `AUTH_BREACHED_PASSWORDS_FILE: ${path} ${problem}. It must hold one SHA-1 a line in upper-case hex, in ascending order.`,
    cause === undefined ? undefined : { cause },
  );
}

/** Not every line, of which there may be a thousand million, but the first, the last and a thousand between. */
async function assertSorted(file: FileHandle, path: string, size: number): Promise<void> {
  if (size === 0) throw badFile(path, "is empty");
  let before = "";
  let beforeAt = -1;
  for (let sample = 0; sample <= samples; sample += 1) {
    const wanted = Math.floor((Math.max(0, size - 1) * sample) / samples);
    const line = await lineAround(file, size, wanted);
    if (!linePattern.test(line.text)) throw badFile(path, `has no hash at byte ${String(line.start)}`);
    const hash = line.text.slice(0, hashLength);
    // eslint-disable-next-line security/constant-time -- both are of a public list.
    const isInOrder = line.start === beforeAt ? hash === before : hash > before;
    if (!isInOrder) throw badFile(path, `is not in order at byte ${String(line.start)}`);
    before = hash;
    beforeAt = line.start;
  }
}

interface Line {
  readonly text: string;
  readonly start: number;
  /** Of the line after it. */
  readonly next: number;
}

/** The line that this byte is in; a newline belongs to the line that it ends. */
async function lineAround(file: FileHandle, size: number, at: number): Promise<Line> {
  const from = Math.max(0, at - lineBytesMax);
  const length = Math.min(lineBytesMax * 2, size - from);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, from);
  const block = buffer.subarray(0, bytesRead);
  const start = at === 0 ? 0 : block.lastIndexOf("\n", Math.max(0, at - from - 1)) + 1;
  const newline = block.indexOf("\n", at - from);
  const end = newline < 0 ? block.length : newline;
  // No newline in reach on either side: the line is too long, and its text will not be a hash.
  const isCutOff = start === 0 && from > 0 && block.lastIndexOf("\n", Math.max(0, at - from - 1)) < 0;
  const text = block.subarray(isCutOff ? 0 : start, end).toString("latin1");
  return { text, start: from + start, next: from + end + 1 };
}

async function contains(file: FileHandle, size: number, hash: string): Promise<boolean> {
  try {
    // Where a line that begins could be it; both are beginnings of lines, or the end of the file.
    let low = 0;
    let high = size;
    while (high - low > blockBytes) {
      const { text, start, next } = await lineAround(file, size, low + Math.floor((high - low) / 2));
      const found = text.slice(0, hashLength);
      // eslint-disable-next-line security/constant-time -- of a password that is refused or not, told in words right after.
      if (found === hash) return true;
      if (found < hash) low = next;
      else high = start;
    }
    const { bytesRead, buffer } = await file.read(Buffer.alloc(high - low), 0, high - low, low);
    return buffer
      .subarray(0, bytesRead)
      .toString("latin1")
      .split("\n")
      .some((line) => line.startsWith(hash));
  } catch (error) {
    throw new AppError({
      kind: "unavailable",
      code: "service_unavailable",
      publicMessage: "Passwords cannot be checked at the moment. Please try again.",
      cause: error,
      retryAfterSeconds: 30,
    });
  }
}
