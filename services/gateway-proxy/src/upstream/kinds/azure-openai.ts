import { askForUsage, identifyAsUser, keepNothing, openAiPaths, realtimePath, type KindRecord } from "./kind.ts";

/** The latest generally available version of the deployment paths (learn.microsoft.com, "API version lifecycle"). */
const versionDefault = "2024-10-21";

/**
 * learn.microsoft.com/azure/ai-foundry/openai/reference: a deployment's name in the path and the version in the query; the
 * responses API exists only under the versionless /openai/v1, with the deployment's name in the body, and so does realtime.
 */
export const azureOpenAi: KindRecord = {
  kind: "azure-openai",
  defaultBaseUrl: undefined,
  hosts: [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"],
  basePath: "",
  // Responses are not served in every region and for every deployment.
  dialects: ["chat", "responses"],
  path(target) {
    const { operation, model, apiVersion } = target;
    if (operation === "responses") return "/openai/v1/responses";
    // learn.microsoft.com "Use the GPT Realtime API via WebSockets" (2026-11): versionless as well, the deployment in the query.
    if (operation === "realtime") return `/openai/v1${realtimePath(target)}`;
    const path = operation === "moderations" ? undefined : openAiPaths[operation];
    if (path === undefined) return undefined;
    const version = encodeURIComponent(apiVersion ?? versionDefault);
    return `/openai/deployments/${encodeURIComponent(model)}${path}?api-version=${version}`;
  },
  authorize: (headers, secret) => {
    headers["api-key"] = secret;
  },
  identify: identifyAsUser,
  shape(body, target) {
    askForUsage(body, target);
    keepNothing(body, target);
  },
};
