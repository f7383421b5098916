import {
  askForUsage,
  bearer,
  identifyAsUser,
  keepNothing,
  openAiPaths,
  realtimePath,
  type KindRecord,
} from "./kind.ts";

/** platform.openai.com/docs/api-reference. */
export const openAi: KindRecord = {
  kind: "openai",
  defaultBaseUrl: "https://api.openai.com/v1",
  // Data residency has hosts of its own: eu.api.openai.com.
  hosts: ["api.openai.com", ".api.openai.com"],
  basePath: "/v1",
  // Reasoning, and tools beside it, are whole in responses only; chat takes what responses cannot say, such as stop sequences.
  dialects: ["responses", "chat"],
  path: (target) => (target.operation === "realtime" ? realtimePath(target) : openAiPaths[target.operation]),
  authorize: bearer,
  // "safety_identifier supersedes user" (help.openai.com/en/articles/5428082, 2026-11) in the two that make text.
  identify(body, operation, userId) {
    if (operation === "chat" || operation === "responses") body["safety_identifier"] = userId;
    else identifyAsUser(body, operation, userId);
  },
  shape(body, target) {
    askForUsage(body, target);
    keepNothing(body, target);
    // `max_tokens` is deprecated there and refused by reasoning models; every model takes the new name.
    if (target.operation === "chat" && "max_tokens" in body) {
      body["max_completion_tokens"] ??= body["max_tokens"];
      delete body["max_tokens"];
    }
  },
};
