import { idOf, keyList, keyResponse, keysRevokeBody } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import type { KeyPorts } from "../app/manage-keys.ts";
import { revokeKeys } from "../app/revoke-keys.ts";
import { toApiKey } from "./convert.ts";

const shared = { auth: "session", owner: "account", logClass: "standard", rateClass: "write", method: "POST" } as const;

/** The end of one key, and of many. */
export function revokeRoutes(ports: Pick<KeyPorts, "store" | "tombstones" | "onTombstoneFault">): readonly Route[] {
  return [
    defineRoute({
      ...shared,
      operationId: "revokeKey",
      path: "/api/keys/:keyId/revoke",
      summary: "Revoke a key for good; idempotent",
      bodyLimitBytes: 1_024,
      request: { params: z.strictObject({ keyId: idOf("key") }) },
      responses: { 200: keyResponse },
      errors: ["not_found"],
      handler: async ({ principal, params }) => {
        const [revoked] = await revokeKeys(ports, principal.accountId, [params.keyId]);
        if (!revoked) throw notFound();
        return { status: 200, body: { key: toApiKey(revoked) } };
      },
    }),
    defineRoute({
      ...shared,
      operationId: "revokeKeys",
      path: "/api/keys/revoke",
      summary:
        "Revoke up to 100 keys for good, all together; those that are not the account's are left out; idempotent",
      bodyLimitBytes: 8_192,
      request: { body: keysRevokeBody },
      responses: { 200: keyList },
      errors: [],
      handler: async ({ principal, body }) => {
        const revoked = await revokeKeys(ports, principal.accountId, body.keyIds);
        return { status: 200, body: { keys: revoked.map(toApiKey) } };
      },
    }),
  ];
}
