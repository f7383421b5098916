import { AppError } from "@codex/kernel";
import type { ServerResponse } from "node:http";
import type { MeteredRequest } from "../../app/metered-request.ts";
import { tokensFromOpenAiUsage } from "../../domain/usage.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import { costFields, openAiUsage } from "./cost.ts";

/** Largest plain answer that is taken from an upstream. */
const answerBytesMax = 67_108_864;

/** Reads a plain answer whole, charges it, and sends it with its cost. The charge is spooled before the first byte goes out. */
export async function relayJson(
  upstream: UpstreamResponse,
  request: MeteredRequest,
  res: ServerResponse,
): Promise<void> {
  const answer = await readAnswer(upstream);
  request.firstByte();
  request.usage = tokensFromOpenAiUsage(answer["usage"]);
  request.delivered(deliveredBytes(answer["choices"]));
  const { charge } = request.close({ ending: "finished", httpStatus: 200, errorCode: null });
  const usage = request.usage ? answer["usage"] : openAiUsage(charge.tokens);
  const cost = costFields(charge, request.init.offer.priceVersion);
  const body = Buffer.from(JSON.stringify({ ...answer, usage: { ...(usage as object), ...cost } }));
  res.writeHead(200, { "content-type": "application/json", "content-length": body.length });
  res.end(body);
}

async function readAnswer(upstream: UpstreamResponse): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of upstream.body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw unusable("answer exceeds its bound");
    chunks.push(chunk);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw unusable("answer is not JSON", error);
  }
  if (typeof answer !== "object" || answer === null || !("choices" in answer) || !Array.isArray(answer.choices)) {
    throw unusable("answer has no choices");
  }
  return { ...answer };
}

function unusable(reason: string, cause?: unknown): AppError {
  return new AppError({
    kind: "upstream",
    code: "upstream_error",
    publicMessage: "The model's provider sent an unusable answer. You were not charged. Please try again.",
    detail: { reason },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Bytes of answer text, for the estimate when the upstream reports no usage. */
function deliveredBytes(choices: unknown): number {
  if (!Array.isArray(choices)) return 0;
  return choices.reduce((sum: number, choice: unknown) => {
    const message = typeof choice === "object" && choice !== null && "message" in choice ? choice.message : undefined;
    return sum + textBytes(message);
  }, 0);
}

function textBytes(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + textBytes(item), 0);
  if (typeof value !== "object" || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [name, field]) => (name === "role" || name === "id" || name === "type" ? sum : sum + textBytes(field)),
    0,
  );
}
