import { AppError } from "@codex/kernel";
import type { ServerResponse } from "node:http";
import type { MeteredRequest } from "../../app/metered-request.ts";
import type { JsonAnswer, Metered, ParsedRequest } from "../../domain/endpoint.ts";
import { isObject, type Json } from "../../domain/fields.ts";
import { readJson, withMembers, type JsonDocument, type JsonLimits, type Member } from "../../domain/json-scan.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import type { Converted } from "./converters.ts";
import { costFields } from "./cost.ts";

/** Largest plain answer that is taken from an upstream: ten large pictures in base64. */
const answerBytesMax = 67_108_864;

/** Of an answer: two thousand vectors of three thousand numbers fit, a bomb does not. */
const answerLimits: JsonLimits = { depthMax: 256, keysMax: 1_000_000, valuesMax: 16_000_000 };

/**
 * Reads a plain answer whole, charges it, and sends it with its cost; every byte of it but the usage stays as it came. The
 * charge is spooled before the first byte goes out.
 */
export async function relayJson<R extends ParsedRequest>(
  upstream: UpstreamResponse,
  format: JsonAnswer<R>,
  parsed: R,
  request: MeteredRequest,
  res: ServerResponse,
): Promise<void> {
  const bytes = await readAnswer(upstream);
  const { answer, members } = format.tellsCost === false ? { answer: parseAnswer(bytes) } : readWhole(bytes);
  const problem = problemOf(answer) ?? format.problem(answer);
  if (problem !== undefined) throw unusable(problem);
  const usage = charged(request, format, format.metered(answer, parsed), answer["usage"]);
  sendAnswer(res, members ? withMembers(bytes, members, new Map([["usage", JSON.stringify(usage)]])) : bytes);
}

/** The same for an upstream of another dialect: the answer is written anew, and the count is the upstream's own. */
export async function relayConvertedJson<R extends ParsedRequest>(
  upstream: UpstreamResponse,
  convert: Converted["answer"],
  format: JsonAnswer<R>,
  parsed: R,
  request: MeteredRequest,
  res: ServerResponse,
): Promise<void> {
  const { answer } = readWhole(await readAnswer(upstream));
  const problem = problemOf(answer);
  if (problem !== undefined) throw unusable(problem);
  const { body, usage: tokens } = convert(answer);
  const usage = charged(request, format, { ...format.metered(body, parsed), tokens }, body["usage"]);
  sendAnswer(res, Buffer.from(JSON.stringify({ ...body, usage })));
}

function problemOf(answer: Json): string | undefined {
  return answer["error"] != null ? "answer is an error" : undefined;
}

/** Closes the request with what was metered. Returns the usage that the client is told, with its cost. */
function charged<R extends ParsedRequest>(
  request: MeteredRequest,
  format: JsonAnswer<R>,
  metered: Metered,
  reported: unknown,
): Json {
  request.firstByte();
  note(request, metered);
  const { charge } = request.close({ ending: "finished", httpStatus: 200, errorCode: null });
  const usage = metered.tokens && isObject(reported) ? reported : format.usage(charge.tokens);
  return { ...usage, ...costFields(charge, request.init.offer.priceVersion) };
}

function sendAnswer(res: ServerResponse, body: Buffer): void {
  res.writeHead(200, { "content-type": "application/json", "content-length": body.length });
  res.end(body);
}

/** What was metered, onto the request that is charged for it. */
export function note(request: MeteredRequest, { tokens, answerBytes, images, audioMs }: Metered): void {
  request.usage = tokens;
  request.answered = true;
  request.images = images;
  request.audioMs = audioMs ?? 0;
  request.delivered(answerBytes);
}

/** The whole body of an answer, at most {@link answerBytesMax}. Throws AppError `upstream_error`. */
export async function readAnswer(upstream: UpstreamResponse): Promise<Buffer> {
  const bytes = await upstream.body.all(answerBytesMax);
  if (!bytes) throw unusable("answer exceeds its bound");
  return bytes;
}

/** The answer as an object. Throws AppError `upstream_error`. */
export function parseAnswer(bytes: Buffer): Json {
  try {
    return objectOf(JSON.parse(bytes.toString("utf8")));
  } catch (error) {
    throw error instanceof AppError ? error : unusable("answer is not JSON", error);
  }
}

/** The same, with the places of its members; names that stand twice, and what is out of bounds, are refused. */
function readWhole(bytes: Buffer): { readonly answer: Json; readonly members: readonly Member[] } {
  let whole: JsonDocument;
  try {
    whole = readJson(bytes, answerLimits);
  } catch (error) {
    throw unusable(error instanceof AppError ? "answer is ambiguous or out of bounds" : "answer is not JSON", error);
  }
  return { answer: objectOf(whole.value), members: whole.members };
}

function objectOf(answer: unknown): Json {
  if (!isObject(answer)) throw unusable("answer is no object");
  return answer;
}

export function unusable(reason: string, cause?: unknown): AppError {
  return new AppError({
    kind: "upstream",
    code: "upstream_error",
    publicMessage: "The model's provider sent an unusable answer. You were not charged. Please try again.",
    detail: { reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
