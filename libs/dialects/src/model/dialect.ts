/**
 * The wire dialects, by the names the rest of the project uses:
 *   chat       OpenAI `POST /v1/chat/completions` and what is compatible with it
 *   messages   Anthropic `POST /v1/messages`
 *   responses  OpenAI `POST /v1/responses`
 *   gemini     Google `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse`
 *
 * Field names and event sequences were read from the official SDKs' types: openai 7.57.0, @anthropic-ai/sdk 1.12.0,
 * @google/genai 2.32.0 (2026-11).
 */
export const dialectNames = ["chat", "messages", "responses", "gemini"] as const;
export type DialectName = (typeof dialectNames)[number];

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
