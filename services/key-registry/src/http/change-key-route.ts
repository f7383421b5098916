import { idOf, keyChangeBody, keyResponse } from "@codex/contracts";
import { appError, defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { changeKey, type KeyPorts } from "../app/manage-keys.ts";
import { fromApiSettings, toApiKey } from "./convert.ts";

/** Two hundred names of models and fifty addresses fit. */
export const keyBodyBytesMax = 32_768;

/** What an owner may change of a key. */
export function changeKeyRoute(ports: Pick<KeyPorts, "store" | "clock">): Route {
  return defineRoute({
    auth: "session",
    owner: "account",
    logClass: "standard",
    operationId: "changeKey",
    method: "PATCH",
    path: "/api/keys/:keyId",
    summary:
      "Change name and tags of a key, what it may spend, how fast, for which models, from where and how long; what is not given stays; idempotent",
    rateClass: "write",
    bodyLimitBytes: keyBodyBytesMax,
    request: { params: z.strictObject({ keyId: idOf("key") }), body: keyChangeBody },
    responses: { 200: keyResponse },
    errors: ["not_found"],
    handler: async ({ principal, params, body }) => {
      const changed = await changeKey(ports, principal.accountId, params.keyId, fromApiSettings(body));
      if (!changed.ok) throw changed.code === "not_found" ? notFound() : appError("invalid_request", changed.message);
      return { status: 200, body: { key: toApiKey(changed.value) } };
    },
  });
}
