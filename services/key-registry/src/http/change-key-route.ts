import { idOf, keyChangeBody, keyResponse } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { changeCaps, type KeyPorts } from "../app/manage-keys.ts";
import { toApiKey } from "./convert.ts";

/** What an owner may change of a key. */
export function changeKeyRoute(ports: Pick<KeyPorts, "store">): Route {
  return defineRoute({
    auth: "session",
    owner: "account",
    logClass: "standard",
    operationId: "changeKey",
    method: "PATCH",
    path: "/api/keys/:keyId",
    summary: "Change what a key may spend a day, a month and in all; idempotent",
    rateClass: "write",
    bodyLimitBytes: 4_096,
    request: { params: z.strictObject({ keyId: idOf("key") }), body: keyChangeBody },
    responses: { 200: keyResponse },
    errors: ["not_found"],
    handler: async ({ principal, params, body }) => {
      const changed = await changeCaps(ports, principal.accountId, params.keyId, body.caps);
      if (!changed.ok) throw notFound();
      return { status: 200, body: { key: toApiKey(changed.value) } };
    },
  });
}
