import { itemOverheadTokens, promptOverheadTokens, textTokens } from "../usage.ts";

/**
 * How a realtime session counts. Text as everywhere (usage.ts); sound by its length:
 *
 *   heard    ceil(milliseconds / 100)
 *   spoken   a text token of the answer is 250 ms of silence, and a token of sound is 50 ms of it: five for each
 *   cached   what the answer before has read, text and sound
 */

export const heardMsPerToken = 100;
export const spokenMsPerTextToken = 250;
export const spokenTokensPerTextToken = 5;

export interface CountedItem {
  readonly text: string;
  readonly heardMs: number;
  readonly spokenTokens: number;
}

export interface SessionTokens {
  readonly text: number;
  readonly audio: number;
}

export function inputTokens(instructions: string, items: readonly CountedItem[]): SessionTokens {
  return items.reduce(
    (sum, item) => ({
      text: sum.text + itemOverheadTokens + textTokens(item.text),
      audio: sum.audio + Math.ceil(item.heardMs / heardMsPerToken) + item.spokenTokens,
    }),
    { text: promptOverheadTokens + textTokens(instructions), audio: 0 },
  );
}

/** `RealtimeResponseUsage` of platform.openai.com/docs/api-reference/realtime-server-events (2026-11). */
export function realtimeUsage(input: SessionTokens, cached: SessionTokens, output: SessionTokens) {
  return {
    total_tokens: input.text + input.audio + output.text + output.audio,
    input_tokens: input.text + input.audio,
    output_tokens: output.text + output.audio,
    input_token_details: {
      text_tokens: input.text,
      audio_tokens: input.audio,
      image_tokens: 0,
      cached_tokens: cached.text + cached.audio,
      cached_tokens_details: { text_tokens: cached.text, audio_tokens: cached.audio, image_tokens: 0 },
    },
    output_token_details: { text_tokens: output.text, audio_tokens: output.audio },
  };
}
