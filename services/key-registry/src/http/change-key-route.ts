import { idOf, keyChangeBody, keyResponse } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { changeKey, type KeyPorts } from "../app/manage-keys.ts";
import { toApiKey } from "./convert.ts";

/** Two hundred names of models and fifty addresses fit. */
export const keyBodyBytesMax = 32_768;

/** What an owner may change of a key. */
export function changeKeyRoute(ports: Pick<KeyPorts, "store">): Route {
  return defineRoute({
    auth: "session",
    owner: "account",
    logClass: "standard",
    operationId: "changeKey",
    method: "PATCH",
    path: "/api/keys/:keyId",
    summary:
      "Change what a key may spend, how fast, for which models and from where; what is not given stays; idempotent",
    rateClass: "write",
    bodyLimitBytes: keyBodyBytesMax,
    request: { params: z.strictObject({ keyId: idOf("key") }), body: keyChangeBody },
    responses: { 200: keyResponse },
    errors: ["not_found"],
    handler: async ({ principal, params, body }) => {
      const changed = await changeKey(ports, principal.accountId, params.keyId, body);
      if (!changed.ok) throw notFound();
      return { status: 200, body: { key: toApiKey(changed.value) } };
    },
  });
}
