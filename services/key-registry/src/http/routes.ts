import { keyCreateBody, keyCreated, keyList } from "@codex/contracts";
import { appError, auditRoutes, defineRoute, type ReadActs, type Route } from "@codex/http";
import { createKey, listedKeysMax, type KeyPorts } from "../app/manage-keys.ts";
import { changeKeyRoute, keyBodyBytesMax } from "./change-key-route.ts";
import { fromApiSettings, toApiKey } from "./convert.ts";
import { revokeRoutes } from "./revoke-routes.ts";
import { rollKeyRoute } from "./roll-key-route.ts";
import { showKeyRoute } from "./show-key-route.ts";

const shared = { auth: "session", owner: "account", logClass: "standard" } as const;

/** The owner's API of keys, under /api/keys. */
export function keyRoutes(ports: KeyPorts, readActs: ReadActs): readonly Route[] {
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
      handler: async ({ principal, body }) => {
        const created = await createKey(ports, principal.accountId, fromApiSettings(body));
        if (!created.ok) {
          throw appError(created.code === "conflict" ? "conflict" : "invalid_request", created.message);
        }
        return { status: 201, body: { key: toApiKey(created.value.key), secret: created.value.secret } };
      },
    }),
    changeKeyRoute(ports),
    rollKeyRoute(ports),
    showKeyRoute(ports),
    ...revokeRoutes(ports),
    ...auditRoutes({ prefix: "/api/keys", about: "keys", name: "Key", readActs }),
  ];
}
