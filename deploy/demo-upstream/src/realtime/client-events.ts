import { z } from "zod";

/** What a client may say; looser than the vendor, whose documentation is the test of our clients. */

const format = z.looseObject({ type: z.enum(["audio/pcm", "audio/pcmu", "audio/pcma"]) });
const modalities = z.array(z.enum(["text", "audio"])).min(1);
const outputBound = z.union([z.int().min(1), z.literal("inf")]);

export const sessionSettings = z.looseObject({
  type: z.literal("realtime"),
  instructions: z.string().optional(),
  output_modalities: modalities.optional(),
  max_output_tokens: outputBound.optional(),
  audio: z
    .looseObject({
      input: z
        .looseObject({
          format: format.optional(),
          turn_detection: z.looseObject({ type: z.string() }).nullish(),
        })
        .optional(),
      output: z.looseObject({ format: format.optional(), voice: z.unknown().optional() }).optional(),
    })
    .optional(),
});

const part = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  audio: z.base64().optional(),
  transcript: z.string().nullish(),
});
export const clientItem = z.looseObject({
  id: z.string().max(512).optional(),
  type: z.string(),
  role: z.string().optional(),
  content: z.array(part).optional(),
  output: z.string().optional(),
});
export type ClientItem = z.infer<typeof clientItem>;

const responseSettings = z.looseObject({
  instructions: z.string().optional(),
  output_modalities: modalities.optional(),
  max_output_tokens: outputBound.optional(),
  conversation: z.enum(["auto", "none"]).optional(),
  input: z.array(clientItem).optional(),
  metadata: z.record(z.string(), z.string()).nullish(),
});
export type ResponseSettings = z.infer<typeof responseSettings>;

const eventId = z.string().max(512).optional();
export const clientEvent = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("session.update"), event_id: eventId, session: sessionSettings }),
  z.looseObject({ type: z.literal("input_audio_buffer.append"), event_id: eventId, audio: z.base64() }),
  z.looseObject({ type: z.literal("input_audio_buffer.commit"), event_id: eventId }),
  z.looseObject({ type: z.literal("input_audio_buffer.clear"), event_id: eventId }),
  z.looseObject({ type: z.literal("conversation.item.create"), event_id: eventId, item: clientItem }),
  z.looseObject({ type: z.literal("response.create"), event_id: eventId, response: responseSettings.optional() }),
  z.looseObject({ type: z.literal("response.cancel"), event_id: eventId, response_id: z.string().optional() }),
]);
export type ClientEvent = z.infer<typeof clientEvent>;
