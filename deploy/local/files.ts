import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { z } from "zod";

/** Writes JSON in one step, mode 0600: a reader never sees half a file, another user never sees any of it. */
export function writePrivateJson(file: string, value: unknown): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${String(process.pid)}`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}

/** The parsed file, or undefined when there is none. Throws {@link DamagedFileError} when it holds something else. */
export function readJson<T>(file: string, schema: z.ZodType<T>): T | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new DamagedFileError(file, { cause: error });
  }
}

/** As {@link readJson}, for files that we can do without: damaged counts as absent. */
export function readJsonIfWhole<T>(file: string, schema: z.ZodType<T>): T | undefined {
  try {
    return readJson(file, schema);
  } catch {
    return undefined;
  }
}

/** Undefined when the file cannot be read. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** The last lines of a text file, of what stands behind `fromByte`; empty when there is none. */
export function lastLines(file: string, count: number, fromByte = 0): readonly string[] {
  const text = Buffer.from(readText(file) ?? "")
    .subarray(fromByte)
    .toString("utf8")
    .trimEnd();
  return text === "" ? [] : text.split("\n").slice(-count);
}

class DamagedFileError extends Error {
  constructor(file: string, options: { cause: unknown }) {
    super(`${file} is damaged: repair it, or delete it to have it made anew.`, options);
    this.name = "DamagedFileError";
  }
}
