import { z } from "zod";
import { deliverBytes, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, scriptedError } from "../http/errors.ts";
import { eventFrame, type Frame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { textTokens } from "../usage.ts";

const speechBody = z.looseObject({
  model: z.string().min(1),
  input: z.string().min(1).max(8_192),
  voice: z.union([z.string(), z.looseObject({ id: z.string() })]),
  response_format: z.enum(["mp3", "wav", "pcm"]).default("mp3"),
  stream_format: z.enum(["sse", "audio"]).default("audio"),
});

/** Silence plays for this long a token of text, and its tokens are tenths of a second. */
export const secondsPerToken = 0.25;
const sampleRate = 24_000;
const types = { mp3: "audio/mpeg", wav: "audio/wav", pcm: "audio/pcm" } as const;

/** MPEG-1 layer III at 128 kbit/s and 44.1 kHz: a header and an empty frame, 417 bytes for 1152 samples. */
function silentMp3(seconds: number): Buffer {
  const frame = Buffer.alloc(417);
  frame.writeUInt32BE(0xfffb9064);
  return Buffer.concat(Array.from({ length: Math.ceil((seconds * 44_100) / 1_152) }, () => frame));
}

function silentWav(seconds: number): Buffer {
  const data = silentPcm(seconds);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(sampleRate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

function silentPcm(seconds: number): Buffer {
  return Buffer.alloc(Math.ceil(seconds * sampleRate) * 2);
}

const make = { mp3: silentMp3, wav: silentWav, pcm: silentPcm } as const;

/** `POST /v1/audio/speech`: silence as long as the text; with `stream_format: "sse"` as events with usage at the end. */
export async function speech(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(speechBody, context.body);
  exchange.facts.stream = body.stream_format === "sse";
  const model = requireModel(context, body.model, "speech");
  if (await faultAnswered(context, model, "openai")) return;
  const prompt = textTokens(body.input);
  const seconds = prompt * secondsPerToken;
  const sound = make[body.response_format](seconds);
  const completion = Math.ceil(seconds * 10);
  exchange.facts.trueUsage = { prompt, completion };
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  if (body.stream_format === "audio") {
    await deliverBytes(exchange, sound, types[body.response_format], pace, model.fault);
    return;
  }
  const usage = reportedUsage(model.fault, {
    input_tokens: prompt,
    output_tokens: completion,
    total_tokens: prompt + completion,
  });
  const frames = function* (): Generator<Frame> {
    for (let at = 0; at < sound.length; at += 4_096) {
      yield eventFrame({ type: "speech.audio.delta", audio: sound.toString("base64", at, at + 4_096) });
    }
    yield eventFrame({ type: "speech.audio.done", ...(usage ? { usage } : {}) }, { usage, terminator: true });
  };
  const error = eventFrame({ type: "error", ...errorBody("openai", scriptedError(model.id, 500, undefined), "") });
  await deliverStream(exchange, frames(), pace, model.fault, error);
}
