import { z } from "zod";
import { deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, invalidRequest, scriptedError } from "../http/errors.ts";
import { eventFrame, type Frame } from "../http/sse.ts";
import { drawPng } from "../image/png.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { imageTokens, mediaTokens, textTokens, type ImageQuality } from "../usage.ts";

const sizes = {
  auto: [1_024, 1_024],
  "256x256": [256, 256],
  "512x512": [512, 512],
  "1024x1024": [1_024, 1_024],
  "1024x1536": [1_024, 1_536],
  "1536x1024": [1_536, 1_024],
  "1024x1792": [1_024, 1_792],
  "1792x1024": [1_792, 1_024],
} as const;
type Size = keyof typeof sizes;

const qualities = {
  low: "low",
  medium: "medium",
  high: "high",
  auto: "medium",
  standard: "medium",
  hd: "high",
} as const satisfies Record<string, ImageQuality>;

const imageBody = z.looseObject({
  model: z.string().min(1).default("demo-image"),
  prompt: z.string().min(1).max(32_000),
  // A form has text alone.
  n: z.coerce.number().int().min(1).max(10).nullish(),
  size: z.enum(Object.keys(sizes) as [Size, ...Size[]]).nullish(),
  quality: z.enum(Object.keys(qualities) as [keyof typeof qualities, ...(keyof typeof qualities)[]]).nullish(),
  // Only what can be kept: the demo has no place to serve files from.
  response_format: z.enum(["b64_json"]).nullish(),
  output_format: z.enum(["png"]).nullish(),
  stream: z.preprocess((value) => (value === "true" ? true : value === "false" ? false : value), z.boolean().nullish()),
  partial_images: z.coerce.number().int().min(0).max(3).nullish(),
});
type ImageBody = z.infer<typeof imageBody>;

const file = z.instanceof(Blob);
const editBody = imageBody.extend({
  image: file.optional(),
  "image[]": z.array(file).optional(),
  images: z.array(z.looseObject({ image_url: z.string() })).optional(),
});

/** `POST /v1/images/generations`. */
export async function images(context: Context): Promise<void> {
  await answer(context, parseBody(imageBody, context.body), 0, "image_generation");
}

/** `POST /v1/images/edits`: JSON or a form. The pictures are counted and otherwise ignored. */
export async function imageEdits(context: Context): Promise<void> {
  const body = parseBody(editBody, context.body);
  const given = (body.image ? 1 : 0) + (body["image[]"]?.length ?? 0) + (body.images?.length ?? 0);
  if (given === 0) throw invalidRequest("image: at least one picture is required", "image");
  await answer(context, body, given, "image_edit");
}

async function answer(context: Context, body: ImageBody, given: number, kind: string): Promise<void> {
  const { exchange } = context;
  exchange.facts.stream = body.stream ?? false;
  const model = requireModel(context, body.model, "image");
  if (await faultAnswered(context, model, "openai")) return;

  const [width, height] = sizes[body.size ?? "auto"];
  const quality = qualities[body.quality ?? "auto"];
  const count = body.n ?? 1;
  const prompt = textTokens(body.prompt);
  const seen = mediaTokens * given;
  const completion = imageTokens(width, height, quality) * count;
  exchange.facts.trueUsage = { prompt: prompt + seen, completion };
  const usage = reportedUsage(model.fault, {
    input_tokens: prompt + seen,
    output_tokens: completion,
    total_tokens: prompt + seen + completion,
    input_tokens_details: { text_tokens: prompt, image_tokens: seen },
  });
  const files = model.fault?.kind === "empty" ? [] : await draw(body.prompt, count, width, height);
  const facts = {
    created: Math.floor(Date.now() / 1_000),
    background: "opaque",
    output_format: "png",
    quality,
    size: `${width}x${height}`,
  };
  const told = usage ? { usage } : {};
  const outputBytes = files.reduce((sum, one) => sum + one.length, 0);
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  if (body.stream !== true) {
    const data = files.map((one) => ({ b64_json: one.toString("base64") }));
    await deliverPlain(
      exchange,
      { body: { ...facts, data, ...told }, usage, outputBytes, tokens: 0 },
      pace,
      model.fault,
    );
    return;
  }
  const frames = function* (): Generator<Frame> {
    for (const one of files) {
      const b64 = { b64_json: one.toString("base64") };
      for (let index = 0; index < (body.partial_images ?? 0); index += 1) {
        yield eventFrame({ type: `${kind}.partial_image`, ...facts, ...b64, partial_image_index: index });
      }
      yield eventFrame({ type: `${kind}.completed`, ...facts, ...b64, ...told }, { usage, outputBytes: one.length });
    }
  };
  const error = eventFrame({ type: "error", ...errorBody("openai", scriptedError(model.id, 500, undefined), "") });
  await deliverStream(exchange, frames(), pace, model.fault, error);
}

/** Image k of a prompt is always the same, and unlike image k + 1. */
async function draw(prompt: string, count: number, width: number, height: number): Promise<Buffer[]> {
  const files: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    files.push(await drawPng(index === 0 ? prompt : `${prompt} #${index + 1}`, width, height));
  }
  return files;
}
