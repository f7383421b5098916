import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { ApiError, invalidRequest } from "./errors.ts";

/**
 * Reads a JSON body, or a form as an object of its fields (a file is a Blob, a name that comes again a list), of at most
 * `bytesMax` bytes. Throws the 400, 413 or 415 of the dialect.
 */
export async function readAny(req: IncomingMessage, bytesMax: number): Promise<unknown> {
  const encoding = req.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    throw new ApiError({ status: 415, message: `Content-Encoding ${encoding} is not supported.` });
  }
  if (Number(req.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(bytesMax);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const type = req.headers["content-type"] ?? "";
  if (type.startsWith("multipart/form-data")) return readForm(body, type);
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch {
    throw invalidRequest("We could not parse the JSON body of your request.");
  }
}

async function readForm(body: Buffer<ArrayBuffer>, type: string): Promise<Readonly<Record<string, unknown>>> {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the body is whole and bounded already, so nothing more is buffered
  const form = await new Response(body, { headers: { "content-type": type } }).formData().catch(() => undefined);
  if (!form) throw invalidRequest("We could not parse the form of your request.");
  const fields: Record<string, unknown> = {};
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name);
    fields[name] = values.length === 1 && !name.endsWith("[]") ? values[0] : values;
  }
  return fields;
}

function tooLarge(bytesMax: number): ApiError {
  // The rest of the body is not read, so the connection cannot be used again.
  return new ApiError({
    status: 413,
    message: `The request body is larger than ${bytesMax} bytes.`,
    headers: { connection: "close" },
  });
}

/** Parses a body by its schema; the 400 names the first field at fault. */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const param = issue?.path.map(String).join(".") ?? "";
  const message = issue?.message ?? "invalid request";
  throw invalidRequest(param === "" ? message : `${param}: ${message}`, param === "" ? null : param);
}
