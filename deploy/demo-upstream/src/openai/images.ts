import { z } from "zod";
import { deliverPlain } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { drawPng } from "../image/png.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { imageTokens, textTokens, type ImageQuality } from "../usage.ts";

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
  n: z.number().int().min(1).max(10).nullish(),
  size: z.enum(Object.keys(sizes) as [Size, ...Size[]]).nullish(),
  quality: z.enum(Object.keys(qualities) as [keyof typeof qualities, ...(keyof typeof qualities)[]]).nullish(),
  // Only what can be kept: the demo has no place to serve files from.
  response_format: z.enum(["b64_json"]).nullish(),
  output_format: z.enum(["png"]).nullish(),
  stream: z.literal(false).nullish(),
});

/** `POST /v1/images/generations`. */
export async function images(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(imageBody, context.body);
  const model = requireModel(context, body.model, "image");
  if (await faultAnswered(context, model, "openai")) return;

  const [width, height] = sizes[body.size ?? "auto"];
  const quality = qualities[body.quality ?? "auto"];
  const count = body.n ?? 1;
  const prompt = textTokens(body.prompt);
  const completion = imageTokens(width, height, quality) * count;
  exchange.facts.trueUsage = { prompt, completion };
  const usage = reportedUsage(model.fault, {
    input_tokens: prompt,
    output_tokens: completion,
    total_tokens: prompt + completion,
    input_tokens_details: { text_tokens: prompt, image_tokens: 0 },
  });
  const files = model.fault?.kind === "empty" ? [] : await draw(body.prompt, count, width, height);
  const answer = {
    created: Math.floor(Date.now() / 1_000),
    background: "opaque",
    output_format: "png",
    quality,
    size: `${width}x${height}`,
    data: files.map((file) => ({ b64_json: file.toString("base64") })),
    ...(usage ? { usage } : {}),
  };
  const outputBytes = files.reduce((sum, file) => sum + file.length, 0);
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  await deliverPlain(exchange, { body: answer, usage, outputBytes, tokens: 0 }, pace, model.fault);
}

/** Image k of a prompt is always the same, and unlike image k + 1. */
async function draw(prompt: string, count: number, width: number, height: number): Promise<Buffer[]> {
  const files: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    files.push(await drawPng(index === 0 ? prompt : `${prompt} #${index + 1}`, width, height));
  }
  return files;
}
