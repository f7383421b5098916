import { openAiPaths, type KindRecord } from "./kind.ts";

/**
 * ai.google.dev/api. Conversations in Gemini's own form, the model in the path; embeddings and images by Google's
 * OpenAI-compatible endpoint below the same base, which wants the key as a bearer.
 */
export const gemini: KindRecord = {
  kind: "gemini",
  defaultBaseUrl: "https://generativelanguage.googleapis.com/v1beta",
  hosts: ["generativelanguage.googleapis.com"],
  basePath: "/v1beta",
  dialects: ["generateContent"],
  path({ operation, model, stream }) {
    if (operation === "generateContent") {
      const name = encodeURIComponent(model.replace(/^models\//, ""));
      return stream ? `/models/${name}:streamGenerateContent?alt=sse` : `/models/${name}:generateContent`;
    }
    return operation === "embeddings" || operation === "images" ? `/openai${openAiPaths[operation] ?? ""}` : undefined;
  },
  authorize(headers, secret, operation) {
    if (operation === "generateContent") headers["x-goog-api-key"] = secret;
    else headers["authorization"] = `Bearer ${secret}`;
  },
  shape(body, { operation }) {
    if (operation !== "generateContent") return;
    // Both are in the path, and the body refuses fields it does not know.
    delete body["model"];
    delete body["stream"];
  },
  faultOf(status, { reason }) {
    return status === 400 && reason === "API_KEY_INVALID" ? "key_rejected" : undefined;
  },
};
