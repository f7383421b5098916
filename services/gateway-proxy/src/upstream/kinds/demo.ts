import { askForUsage, bearer, keepNothing, openAiPaths, realtimePath, type KindRecord } from "./kind.ts";

const paths: Partial<Record<string, string>> = {
  ...openAiPaths,
  messages: "/messages",
  countTokens: "/messages/count_tokens",
  rerank: "/rerank",
};

/** deploy/demo-upstream: every dialect behind one address, for demonstrations and tests. */
export const demo: KindRecord = {
  kind: "demo",
  defaultBaseUrl: undefined,
  hosts: [],
  basePath: "",
  dialects: ["chat", "messages", "responses"],
  path: (target) => (target.operation === "realtime" ? realtimePath(target) : paths[target.operation]),
  authorize: bearer,
  headers(headers, { operation }, client) {
    if (operation !== "messages" && operation !== "countTokens") return;
    const version = client["anthropic-version"];
    headers["anthropic-version"] = typeof version === "string" && /^[\d-]{10}$/.test(version) ? version : "2023-06-01";
  },
  shape(body, target) {
    askForUsage(body, target);
    keepNothing(body, target);
  },
};
