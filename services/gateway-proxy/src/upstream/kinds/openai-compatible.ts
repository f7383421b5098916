import { askForUsage, bearer, keepNothing, openAiPaths, type KindRecord } from "./kind.ts";

/** vLLM, Ollama, DeepSeek, YandexGPT and others that copied OpenAI's paths; rerank is where Cohere, Jina and vLLM agree. */
export const openAiCompatible: KindRecord = {
  kind: "openai-compatible",
  defaultBaseUrl: undefined,
  hosts: [],
  basePath: "",
  dialects: ["chat"],
  // DeepSeek, Mistral and older servers know only this one, and those that know both take either.
  chatBound: "max_tokens",
  // Few of them know the responses API, and none says so: a conversation goes as chat.
  path: ({ operation }) =>
    operation === "rerank" ? "/rerank" : operation === "responses" ? undefined : openAiPaths[operation],
  authorize: bearer,
  shape(body, target) {
    askForUsage(body, target);
    keepNothing(body, target);
  },
};
