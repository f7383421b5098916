import { idOf, keyCreateBody, keyCreated, keyList, keyResponse } from "@codex/contracts";
import { appError, defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { createKey, listedKeysMax, revokeKey, type KeyPorts } from "../app/manage-keys.ts";
import { changeKeyRoute, keyBodyBytesMax } from "./change-key-route.ts";
import { toApiKey } from "./convert.ts";

const shared = { auth: "session", owner: "account", logClass: "standard" } as const;

/** The owner's API of keys, under /api/keys. */
export function keyRoutes(ports: KeyPorts): readonly Route[] {
  return [
    defineRoute({
      ...shared,
      operationId: "listKeys",
      method: "GET",
      path: "/api/keys",
      summary: "The account's keys, newest first, without their secrets",
      rateClass: "read",
      bodyLimitBytes: 0,
      request: {},
      responses: { 200: keyList },
      errors: [],
      handler: async ({ principal }) => {
        const keys = await ports.store.list(principal.accountId, listedKeysMax);
        return { status: 200, body: { keys: keys.map(toApiKey) } };
      },
    }),
    defineRoute({
      ...shared,
      operationId: "createKey",
      method: "POST",
      path: "/api/keys",
      summary: "A new key; the answer shows its secret once",
      rateClass: "write",
      bodyLimitBytes: keyBodyBytesMax,
      request: { body: keyCreateBody },
      responses: { 201: keyCreated },
      errors: ["conflict"],
      handler: async ({ principal, body: { name, ...settings } }) => {
        const created = await createKey(ports, principal.accountId, name, settings);
        if (!created.ok) throw appError("conflict", created.message);
        return { status: 201, body: { key: toApiKey(created.value.key), secret: created.value.secret } };
      },
    }),
    changeKeyRoute(ports),
    defineRoute({
      ...shared,
      operationId: "revokeKey",
      method: "POST",
      path: "/api/keys/:keyId/revoke",
      summary: "Revoke a key for good; idempotent",
      rateClass: "write",
      bodyLimitBytes: 1_024,
      request: { params: z.strictObject({ keyId: idOf("key") }) },
      responses: { 200: keyResponse },
      errors: ["not_found"],
      handler: async ({ principal, params }) => {
        const revoked = await revokeKey(ports, principal.accountId, params.keyId);
        if (!revoked.ok) throw notFound();
        return { status: 200, body: { key: toApiKey(revoked.value) } };
      },
    }),
  ];
}
