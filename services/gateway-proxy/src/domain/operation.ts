/**
 * What a request asks of an upstream, whatever the vendor calls it. `generateContent` is Gemini's own form of a text
 * request; clients never ask for it, a converted request does.
 */
export type Operation =
  | "chat"
  | "messages"
  | "countTokens"
  | "responses"
  | "generateContent"
  | "completions"
  | "embeddings"
  | "images"
  | "imageEdits"
  | "speech"
  | "transcriptions"
  | "translations"
  | "moderations"
  | "rerank"
  | "realtime";

/** The operations that are a conversation with a model; one can be converted to another. */
export type TextDialect = Extract<Operation, "chat" | "messages" | "responses" | "generateContent">;
