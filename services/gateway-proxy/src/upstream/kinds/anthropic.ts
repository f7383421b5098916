import type { KindRecord } from "./kind.ts";

const paths: Partial<Record<string, string>> = { messages: "/messages", countTokens: "/messages/count_tokens" };

/** Of requests that bring none: the version every client before 2026-10 sends. */
const versionDefault = "2023-06-01";
const versionForm = /^\d{4}-\d{2}-\d{2}$/;
/** A list of feature names; Claude Code sends up to eight. */
const betaForm = /^[A-Za-z0-9 ,._-]{1,1024}$/;

/** docs.claude.com/en/api. The client's version and betas decide what its body may hold, so they go along with it. */
export const anthropic: KindRecord = {
  kind: "anthropic",
  defaultBaseUrl: "https://api.anthropic.com/v1",
  hosts: ["api.anthropic.com"],
  basePath: "/v1",
  dialects: ["messages"],
  path: ({ operation }) => paths[operation],
  // Counting knows no metadata.
  identify(body, operation, userId) {
    if (operation === "messages") body["metadata"] = { user_id: userId };
  },
  authorize: (headers, secret) => {
    headers["x-api-key"] = secret;
  },
  headers(headers, { apiVersion }, client) {
    const version = client["anthropic-version"];
    headers["anthropic-version"] =
      typeof version === "string" && versionForm.test(version) ? version : (apiVersion ?? versionDefault);
    const beta = client["anthropic-beta"];
    if (typeof beta === "string" && betaForm.test(beta)) headers["anthropic-beta"] = beta;
  },
  faultOf(status, { message }) {
    // The account behind our key is out of money, told as if the request were wrong.
    return status === 400 && /credit balance is too low/i.test(message) ? "key_quota" : undefined;
  },
};
