import { idOf, keyRollBody, keyRolled } from "@codex/contracts";
import { appError, assertRecentAuthentication, defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import type { KeyPorts } from "../app/manage-keys.ts";
import { rollKey } from "../app/roll-key.ts";
import { toApiKey } from "./convert.ts";

/** The answer holds a secret, so it asks for the person again (SEC-24). */
export function rollKeyRoute(ports: KeyPorts): Route {
  return defineRoute({
    auth: "session",
    owner: "account",
    logClass: "standard",
    operationId: "rollKey",
    method: "POST",
    path: "/api/keys/:keyId/roll",
    summary:
      "A new key in the place of this one, which goes on for as long as is asked, a day at most; needs a fresh sign-in",
    rateClass: "write",
    bodyLimitBytes: 1_024,
    request: { params: z.strictObject({ keyId: idOf("key") }), body: keyRollBody },
    responses: { 201: keyRolled },
    errors: ["not_found", "conflict", "reauth_required"],
    handler: async ({ principal, params, body }) => {
      assertRecentAuthentication(principal, ports.clock);
      const rolled = await rollKey(ports, principal.accountId, params.keyId, body.overlapSeconds * 1_000);
      if (!rolled.ok) throw rolled.code === "not_found" ? notFound() : appError("conflict", rolled.message);
      const { key, secret, previous } = rolled.value;
      return { status: 201, body: { key: toApiKey(key), secret, previous: toApiKey(previous) } };
    },
  });
}
