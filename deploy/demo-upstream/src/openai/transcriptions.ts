import { z } from "zod";
import { deliverBytes, deliverPlain, deliverStream } from "../deliver.ts";
import { reportedUsage } from "../faults.ts";
import { parseBody } from "../http/body.ts";
import type { Context } from "../http/context.ts";
import { errorBody, scriptedError } from "../http/errors.ts";
import { eventFrame, type Frame } from "../http/sse.ts";
import { paceOf } from "../pace.ts";
import { faultAnswered, requireModel } from "../prelude.ts";
import { pieces } from "../text/pieces.ts";
import { textTokens } from "../usage.ts";

const transcriptBody = z.looseObject({
  model: z.string().min(1),
  file: z.instanceof(Blob),
  prompt: z.string().optional(),
  response_format: z.enum(["json", "text", "srt", "vtt", "verbose_json"]).default("json"),
  stream: z.enum(["true", "false"]).optional(),
});

/** The length of a WAV file by its header; anything else counts as 4,000 bytes a second. */
async function secondsOf(file: Blob): Promise<number> {
  const bytes = Buffer.from(await file.arrayBuffer());
  const isWav = bytes.toString("latin1", 0, 4) === "RIFF" && bytes.length >= 44;
  return isWav ? (bytes.length - 44) / bytes.readUInt32LE(28) : bytes.length / 4_000;
}

/**
 * `POST /v1/audio/transcriptions` and `/translations`: says how long the file is and what it was told. `demo-whisper` reports
 * seconds, every other model tokens, ten a second of sound.
 */
export async function transcriptions(context: Context): Promise<void> {
  const { exchange } = context;
  const body = parseBody(transcriptBody, context.body);
  const isStream = body.stream === "true";
  exchange.facts.stream = isStream;
  const model = requireModel(context, body.model, "transcript");
  if (await faultAnswered(context, model, "openai")) return;
  const seconds = await secondsOf(body.file);
  const text = `This is a demo transcript of ${seconds.toFixed(2)} seconds.${body.prompt === undefined ? "" : ` ${body.prompt}`}`;
  const prompt = Math.ceil(seconds * 10);
  const completion = textTokens(text);
  exchange.facts.trueUsage = { prompt, completion };
  const bySeconds = model.id === "demo-whisper";
  const usage = bySeconds
    ? { type: "duration", seconds: Math.ceil(seconds) }
    : reportedUsage(model.fault, {
        input_tokens: prompt,
        output_tokens: completion,
        total_tokens: prompt + completion,
      });
  const pace = paceOf(context.config, exchange.url.searchParams, model.fault);
  const told = usage ? { usage: { ...(bySeconds ? {} : { type: "tokens" }), ...usage } } : {};
  if (["text", "srt", "vtt"].includes(body.response_format)) {
    await deliverBytes(exchange, Buffer.from(text), "text/plain", pace, model.fault);
    return;
  }
  const outputBytes = Buffer.byteLength(text);
  if (!isStream) {
    const verbose =
      body.response_format === "verbose_json" ? { task: "transcribe", duration: seconds, segments: [] } : {};
    await deliverPlain(
      exchange,
      { body: { text, ...verbose, ...told }, usage, outputBytes, tokens: 0 },
      pace,
      model.fault,
    );
    return;
  }
  const frames = function* (): Generator<Frame> {
    for (const delta of pieces(text)) {
      yield eventFrame({ type: "transcript.text.delta", delta }, { outputBytes: Buffer.byteLength(delta) });
    }
    yield eventFrame({ type: "transcript.text.done", text, ...told }, { usage, terminator: true });
  };
  const error = eventFrame({ type: "error", ...errorBody("openai", scriptedError(model.id, 500, undefined), "") });
  await deliverStream(exchange, frames(), pace, model.fault, error);
}
