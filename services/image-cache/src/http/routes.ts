import { imageQuota } from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import { readQuota, type QuotaPorts } from "../app/read-quota.ts";

/** The owner's API of cached images, under /images. */
export function imageRoutes(ports: QuotaPorts): readonly Route[] {
  return [
    defineRoute({
      operationId: "readImageQuota",
      method: "GET",
      path: "/images/quota",
      summary: "How much of its image quota the account uses",
      auth: "session",
      owner: "account",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "standard",
      request: {},
      responses: { 200: imageQuota.res },
      errors: [],
      handler: async ({ principal }) => ({ status: 200, body: await readQuota(ports, principal.accountId) }),
    }),
  ];
}
