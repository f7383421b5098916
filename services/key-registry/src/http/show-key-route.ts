import { idOf, keyShown } from "@codex/contracts";
import { appError, defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import type { KeyPorts } from "../app/manage-keys.ts";
import { showKey } from "../app/show-key.ts";

/** Repeat display (SEC-42). A POST, because it is written down, and no link or cache may hold its answer. */
export function showKeyRoute(ports: KeyPorts): Route {
  return defineRoute({
    auth: "session",
    owner: "account",
    freshProof: true,
    logClass: "standard",
    operationId: "showKey",
    method: "POST",
    path: "/api/keys/:keyId/show",
    summary:
      "The key once more, where repeat display is on: its owner alone, five times an hour; needs a fresh sign-in",
    rateClass: "write",
    bodyLimitBytes: 1_024,
    request: { params: z.strictObject({ keyId: idOf("key") }) },
    responses: { 200: keyShown },
    errors: ["not_found", "conflict", "rate_limit_exceeded"],
    handler: async ({ principal, params }) => {
      const shown = await showKey(ports, principal.accountId, params.keyId);
      if (shown.ok) return { status: 200, body: { secret: shown.value } };
      if (shown.code === "not_found") throw notFound();
      if (shown.code === "conflict") throw appError("conflict", shown.message);
      const seconds = Number(shown.metadata?.["retryAfterSeconds"] ?? 3_600);
      throw appError("rate_limit_exceeded", shown.message, { retryAfterSeconds: seconds });
    },
  });
}
