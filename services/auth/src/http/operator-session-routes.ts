import { accountActBody, idOf, operatedSessionList, rolesWith, sessionRef } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId } from "@codex/kernel";
import { z } from "zod";
import { endOneSessionOf } from "../app/operate-accounts.ts";
import { listRecentSessions, type RecentSession } from "../app/sessions.ts";
import { sessionRefOf, toApiOperatedSession } from "./convert.ts";
import { refusalOf, type RouteDeps } from "./replies.ts";

const operator = { auth: "operator", owner: "none", logClass: "standard" } as const;
const account = z.strictObject({ accountId: idOf("acc") });
const path = "/api/auth/operator/accounts/:accountId/sessions";

/** Where a customer is signed in, and the end of one such session. Looking leaves a line in the audit log as well. */
export function operatorSessionRoutes({ ports }: RouteDeps): readonly Route[] {
  const reply = async (sessions: readonly RecentSession[]) => {
    const devices = await ports.devices.get(sessions.map(({ sessionId }) => sessionId));
    const body = sessions.map((session, index) => toApiOperatedSession(session, devices[index] ?? null));
    return { status: 200, body: { sessions: body } };
  };
  const viewed = async (actorId: AccountId, accountId: AccountId): Promise<void> => {
    const now = ports.clock.now();
    if (!(await ports.acts.find(accountId, now))) throw notFound();
    await ports.acts.record({ actorId, action: "sessions_viewed", accountId, reason: null }, now);
  };
  return [
    defineRoute({
      ...operator,
      method: "GET",
      rateClass: "read",
      bodyLimitBytes: 0,
      roles: rolesWith("accounts.read"),
      operationId: "viewAccountSessions",
      path,
      summary: "Sessions of an account in the last 31 days, live ones first",
      request: { params: account },
      responses: { 200: operatedSessionList },
      errors: ["not_found"],
      handler: async ({ principal, params: { accountId } }) => {
        await viewed(principal.accountId, accountId);
        return reply(await listRecentSessions(ports, accountId));
      },
    }),
    defineRoute({
      ...operator,
      method: "POST",
      rateClass: "write",
      bodyLimitBytes: 8_192,
      freshProof: true,
      roles: rolesWith("accounts.end-sessions"),
      operationId: "endAccountSession",
      path: `${path}/:sessionRef/end`,
      summary: "End one session of an account; answers all of them as they are then",
      request: { params: account.extend({ sessionRef }), body: accountActBody },
      responses: { 200: operatedSessionList },
      errors: ["not_found", "own_account"],
      handler: async ({ principal, params, body: { reason } }) => {
        const act = { actorId: principal.accountId, accountId: params.accountId, reason };
        const ended = await endOneSessionOf(ports, act, (sessionId) => sessionRefOf(sessionId) === params.sessionRef);
        if (!ended.ok) throw ended.code === "not_found" ? notFound() : refusalOf(ended);
        return reply(ended.value);
      },
    }),
  ];
}
