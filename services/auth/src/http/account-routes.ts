import {
  accountActList,
  accountResponse,
  consentList,
  emailChangeBody,
  idOf,
  linkBody,
  mailSent,
  ownSessions,
  profileBody,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { askForNewEmail, confirmNewEmail } from "../app/manage-account.ts";
import { listSessions } from "../app/sessions.ts";
import { toApiAccount } from "./convert.ts";
import { accountOrGone, credential, refusalOf, type RouteDeps } from "./replies.ts";

/** The own account: who it is, where it is signed in, what it agreed to, what operators did to it. */
export function accountRoutes(deps: RouteDeps): readonly Route[] {
  return [...profileRoutes(deps), ...emailRoutes(deps), ...sessionRoutes(deps), ...recordRoutes(deps)];
}

const own = { auth: "session", owner: "account", logClass: "standard" } as const;
const read = { ...own, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;
const write = { ...own, rateClass: "write", bodyLimitBytes: 8_192 } as const;
const actsMax = 100;

function profileRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...write,
      operationId: "changeProfile",
      method: "PATCH",
      path: "/api/auth/profile",
      summary: "Correct name and language; what is not given stays",
      request: { body: profileBody },
      responses: { 200: accountResponse },
      errors: ["session_required"],
      handler: async ({ principal, body }) => {
        const change = {
          ...(body.name === undefined ? {} : { name: body.name }),
          ...(body.language === undefined ? {} : { language: body.language }),
        };
        await ports.accounts.setProfile(principal.accountId, change);
        const account = await accountOrGone(ports, principal);
        const session = await ports.sessions.find(principal.sessionId);
        return { status: 200, body: { account: toApiAccount(account, session?.factor ?? "password") } };
      },
    }),
  ];
}

function emailRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...write,
      freshProof: true,
      operationId: "askForNewEmail",
      method: "POST",
      path: "/api/auth/email",
      summary: "Have the new address mailed a link; the old one is told. The same answer for an address in use",
      request: { body: emailChangeBody },
      responses: { 202: mailSent },
      errors: ["too_many_attempts", "session_required"],
      handler: async ({ principal, body, clientIp }) => {
        await askForNewEmail(ports, await accountOrGone(ports, principal), body.email, clientIp);
        return { status: 202, body: { mail: "sent" } };
      },
    }),
    defineRoute({
      ...credential,
      operationId: "confirmNewEmail",
      method: "POST",
      path: "/api/auth/email/confirm",
      summary: "Make the mailed address the account's; both addresses are told",
      request: { body: linkBody },
      responses: { 204: null },
      errors: ["link_invalid"],
      handler: async ({ body }) => {
        const confirmed = await confirmNewEmail(ports, body.token);
        if (!confirmed.ok) throw refusalOf(confirmed);
        return { status: 204 };
      },
    }),
  ];
}

function sessionRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listSessions",
      path: "/api/auth/sessions",
      summary: "Where the account is signed in, newest first",
      request: {},
      responses: { 200: ownSessions },
      errors: [],
      handler: async ({ principal }) => {
        const sessions = await listSessions(ports, principal.accountId);
        const devices = await ports.devices.get(sessions.map(({ sessionId }) => sessionId));
        const body = sessions.map((session, index) => ({
          sessionId: session.sessionId,
          current: session.sessionId === principal.sessionId,
          device: devices[index] ?? null,
          factor: session.factor,
          createdAt: session.createdAt.toISOString(),
          lastSeenAt: session.lastSeenAt.toISOString(),
        }));
        return { status: 200, body: { sessions: body } };
      },
    }),
    defineRoute({
      ...write,
      operationId: "endSession",
      method: "DELETE",
      path: "/api/auth/sessions/:sessionId",
      summary: "End one session",
      request: { params: z.strictObject({ sessionId: idOf("ses") }) },
      responses: { 204: null },
      errors: ["not_found"],
      handler: async ({ principal, params }) => {
        const ended = await ports.sessions.endOf(principal.accountId, params.sessionId, ports.clock.now());
        if (!ended) throw notFound();
        return { status: 204 };
      },
    }),
    defineRoute({
      ...write,
      operationId: "endOtherSessions",
      method: "POST",
      path: "/api/auth/sessions/end-others",
      summary: "End every session but this one",
      request: {},
      responses: { 204: null },
      errors: [],
      handler: async ({ principal }) => {
        await ports.sessions.endAll(principal.accountId, principal.sessionId, ports.clock.now());
        return { status: 204 };
      },
    }),
  ];
}

function recordRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listConsents",
      path: "/api/auth/consents",
      summary: "Which document was agreed to, in which version, when",
      request: {},
      responses: { 200: consentList },
      errors: [],
      handler: async ({ principal }) => {
        const consents = await ports.accounts.consents(principal.accountId);
        return {
          status: 200,
          body: { consents: consents.map(({ at, ...rest }) => ({ ...rest, at: at.toISOString() })) },
        };
      },
    }),
    defineRoute({
      ...read,
      operationId: "listOwnActs",
      path: "/api/auth/acts",
      summary: "What operators did to the account, newest first; not who of them",
      request: {},
      responses: { 200: accountActList },
      errors: [],
      handler: async ({ principal: { accountId } }) => {
        const acts = await ports.acts.listOfOthers(accountId, actsMax);
        const body = acts.map(({ actId, action, reason, at }) => ({ actId, action, reason, at: at.toISOString() }));
        return { status: 200, body: { acts: body } };
      },
    }),
  ];
}
