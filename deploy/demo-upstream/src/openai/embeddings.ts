import { createHash } from "node:crypto";
import { z } from "zod";
import { deliverPlain } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { textTokens } from "../usage.ts";

const tokens = z.array(z.number().int().min(0)).min(1).max(8_192);
const embeddingBody = z.looseObject({
  model: z.string().min(1),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(2_048),
    tokens,
    z.array(tokens).min(1).max(2_048),
  ]),
  dimensions: z.number().int().min(1).max(4_096).nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
});
type Input = z.infer<typeof embeddingBody>["input"];

const dimensionsDefault = 1_536;

/** One input as the text that seeds its vector, and its tokens: given ones are counted, text is measured. */
interface Counted {
  readonly seed: string;
  readonly tokens: number;
}

function inputsOf(input: Input): readonly Counted[] {
  if (typeof input === "string") return [ofText(input)];
  const ids: number[] = [];
  const several: Counted[] = [];
  for (const one of input) {
    if (typeof one === "number") ids.push(one);
    else several.push(typeof one === "string" ? ofText(one) : ofTokens(one));
  }
  return ids.length > 0 ? [ofTokens(ids)] : several;
}

const ofText = (text: string): Counted => ({ seed: text, tokens: textTokens(text) });
const ofTokens = (ids: readonly number[]): Counted => ({ seed: `tokens ${ids.join(" ")}`, tokens: ids.length });

/** A unit vector that depends on the text alone. Values are exact as 32-bit floats, so both encodings carry the same. */
export function embed(text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const seed = createHash("sha256").update(text).digest();
  const raw = new Float64Array(dimensions);
  let state = seed.readUInt32LE(0) || 1;
  for (let at = 0; at < dimensions; at += 1) {
    // xorshift32 (Marsaglia 2003), stirred with the rest of the hash so that close seeds part at once.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const stirred = (state ^ seed.readUInt32LE((at % 7) * 4 + 4)) >>> 0;
    raw[at] = stirred / 2 ** 31 - 1;
  }
  const length = Math.hypot(...raw);
  return Float32Array.from(raw, (value) => value / (length || 1));
}

function encoded(vector: Float32Array<ArrayBuffer>, format: "float" | "base64"): number[] | string {
  if (format === "float") return [...vector];
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, at * 4);
  return bytes.toString("base64");
}

/** `POST /v1/embeddings`. */
export async function embeddings(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(embeddingBody, context.body);
  const model = requireModel(context, body.model, "embedding");
  if (await faultAnswered(context, model, "openai")) return;

  const inputs = inputsOf(body.input);
  const prompt = inputs.reduce((sum, input) => sum + input.tokens, 0);
  exchange.facts.trueUsage = { prompt, completion: 0 };
  const usage = reportedUsage(model.fault, { prompt_tokens: prompt, total_tokens: prompt });
  const dimensions = body.dimensions ?? dimensionsDefault;
  const data = inputs.map((input, index) => ({
    object: "embedding",
    index,
    embedding: encoded(embed(input.seed, dimensions), body.encoding_format ?? "float"),
  }));
  const answer = { object: "list", data, model: model.id, ...(usage ? { usage } : {}) };
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  await deliverPlain(exchange, { body: answer, usage, outputBytes: 0, tokens: 0 }, pace, model.fault);
}
