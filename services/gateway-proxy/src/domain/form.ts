import { randomUUID } from "node:crypto";
import { AppError } from "@codex/kernel";

/**
 * A multipart/form-data body (RFC 7578) that is in memory, as slices of its bytes, and the writing of a new one. The request
 * that goes out is always written anew, so that an upstream's parser cannot find in the client's bytes what ours did not see
 * (SEC-84, SEC-88). Stricter than the RFC: no preamble, no part headers but the two that matter, no nested parts.
 */

export interface FormPart {
  readonly name: string;
  /** Undefined: a field of text. */
  readonly fileName: string | undefined;
  readonly contentType: string | undefined;
  readonly content: Buffer;
}

/** More than any documented request has: 16 pictures, a mask, and a dozen fields. */
export const formPartsMax = 64;
const partHeadBytesMax = 4_096;
const lineEnd = Buffer.from("\r\n");
const headEnd = Buffer.from("\r\n\r\n");

function malformed(why: string): AppError {
  return new AppError({
    kind: "invalid",
    code: "malformed_form",
    publicMessage: `We could not parse the multipart body of your request: ${why}.`,
  });
}

/** The boundary of a multipart content type. Throws AppError when there is none. */
export function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))\s*(?:;|$)/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw malformed("the Content-Type header has no boundary");
  return boundary;
}

export function parseForm(body: Buffer, boundary: string): readonly FormPart[] {
  const opening = Buffer.from(`--${boundary}`);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  if (!body.subarray(0, opening.length).equals(opening)) throw malformed("it does not begin with its boundary");
  const parts: FormPart[] = [];
  let at = opening.length;
  for (;;) {
    if (body.subarray(at, at + 2).toString("latin1") === "--") return parts;
    if (!body.subarray(at, at + 2).equals(lineEnd)) throw malformed("a boundary is not alone on its line");
    const end = body.indexOf(delimiter, at);
    if (end < 0) throw malformed("it ends in the middle of a part");
    if (parts.length >= formPartsMax) throw malformed(`it has more than ${formPartsMax} parts`);
    parts.push(parsePart(body.subarray(at + 2, end)));
    at = end + delimiter.length;
  }
}

function parsePart(part: Buffer): FormPart {
  const split = part.indexOf(headEnd);
  if (split < 0 || split > partHeadBytesMax) throw malformed("a part has no headers");
  let disposition: string | undefined;
  let contentType: string | undefined;
  for (const line of part.toString("utf8", 0, split).split("\r\n")) {
    const separator = line.indexOf(":");
    const name = line.slice(0, Math.max(0, separator)).toLowerCase();
    const value = line.slice(separator + 1).trim();
    if (name === "content-disposition") {
      if (disposition !== undefined) throw malformed("a part has Content-Disposition twice");
      disposition = value;
    } else if (name === "content-type") {
      contentType = value;
    } else if (name === "content-transfer-encoding" && !/^(binary|8bit|7bit)$/i.test(value)) {
      throw malformed("a part is encoded");
    }
  }
  if (disposition === undefined || !/^form-data\s*;/i.test(disposition)) throw malformed("a part is no form field");
  const name = parameter(disposition, "name");
  if (name === undefined || !/^[a-z_]{1,64}(\[\])?$/.test(name)) throw malformed("a part has no proper name");
  return {
    name,
    fileName: parameter(disposition, "filename"),
    contentType,
    content: part.subarray(split + headEnd.length),
  };
}

function parameter(disposition: string, name: string): string | undefined {
  const quoted = new RegExp(`;\\s*${name}="((?:[^"\\\\\\r\\n]|\\\\.)*)"`, "i").exec(disposition)?.[1];
  return quoted ?? new RegExp(`;\\s*${name}=([^\\s;"]+)`, "i").exec(disposition)?.[1];
}

/** A file's name tells the upstream the format by its ending; nothing else of it is needed, or safe in a header. */
function safeFileName(fileName: string): string {
  const ending = /\.[a-z0-9]{1,8}$/i.exec(fileName)?.[0] ?? "";
  return `file${ending.toLowerCase()}`;
}

const safeType = /^[a-z0-9][a-z0-9.+-]{0,63}\/[a-z0-9][a-z0-9.+-]{0,63}$/i;

/** The parts as a new body under a new boundary. */
export function writeForm(parts: readonly FormPart[]): { readonly body: Buffer; readonly contentType: string } {
  const boundary = `----codex${randomUUID()}`;
  const pieces = parts.flatMap(({ name, fileName, contentType, content }) => {
    const file = fileName === undefined ? "" : `; filename="${safeFileName(fileName)}"`;
    const type = (contentType ?? "").split(";")[0]?.trim() ?? "";
    const typeLine =
      fileName === undefined ? "" : `Content-Type: ${safeType.test(type) ? type : "application/octet-stream"}\r\n`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${typeLine}\r\n`;
    return [Buffer.from(head), content, lineEnd];
  });
  const body = Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
  return { body, contentType: `multipart/form-data; boundary=${boundary}` };
}

export function textPart(name: string, value: string): FormPart {
  return { name, fileName: undefined, contentType: undefined, content: Buffer.from(value) };
}
