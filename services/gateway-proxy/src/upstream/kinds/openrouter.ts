import { askForUsage, bearer, identifyAsUser, keepNothing, openAiPaths, type KindRecord } from "./kind.ts";

/** Its own fields that choose another model or provider than the one that is paid for, or add paid plug-ins. */
const redirecting = ["models", "route", "provider", "transforms", "plugins", "preset"];

/** openrouter.ai/docs/api-reference. */
export const openRouter: KindRecord = {
  kind: "openrouter",
  defaultBaseUrl: "https://openrouter.ai/api/v1",
  hosts: ["openrouter.ai"],
  basePath: "/api/v1",
  dialects: ["chat", "messages", "responses"],
  path({ operation }) {
    if (operation === "messages") return "/messages";
    return operation === "chat" ||
      operation === "responses" ||
      operation === "completions" ||
      operation === "embeddings"
      ? openAiPaths[operation]
      : undefined;
  },
  authorize: bearer,
  identify: identifyAsUser,
  shape(body, target) {
    for (const name of redirecting) Reflect.deleteProperty(body, name);
    askForUsage(body, target);
    keepNothing(body, target);
    if (target.operation === "chat" || target.operation === "completions") body["usage"] = { include: true };
  },
  faultOf(status, { message }) {
    // 403 is its answer to an input that moderation flagged, which is no matter of the key.
    return status === 403 && /moderation|flagged/i.test(message) ? "request" : undefined;
  },
};
