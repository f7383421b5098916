import {
  accountResponse,
  passkeyAddBody,
  passkeyOptions,
  passkeyResponse,
  passwordChangeBody,
  recoveryCodes,
  securityOverview,
  totpConfirmBody,
  totpEnrolment,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import {
  addPasskey,
  beginTotp,
  changePassword,
  confirmTotp,
  removeFactor,
  renewRecoveryCodes,
} from "../app/manage-account.ts";
import { proofAgeMaxMs } from "../domain/session-rules.ts";
import { toApiAccount, toApiPasskey } from "./convert.ts";
import { accountOrGone, refusalOf, replacedCookie, type RouteDeps } from "./replies.ts";

/** Password, second factors and recovery codes of the own account. All but looking asks for a fresh proof (SEC-24). */
export function securityRoutes(deps: RouteDeps): readonly Route[] {
  return [overviewRoute(deps), passwordRoute(deps), ...totpRoutes(deps), codesRoute(deps), ...passkeyRoutes(deps)];
}

const own = { auth: "session", owner: "account", logClass: "standard" } as const;
const change = { ...own, rateClass: "credential", freshProof: true, bodyLimitBytes: 8_192 } as const;

function overviewRoute({ ports }: RouteDeps): Route {
  return defineRoute({
    ...own,
    rateClass: "read",
    bodyLimitBytes: 0,
    enrolment: true,
    operationId: "securityOverview",
    method: "GET",
    path: "/api/auth/security",
    summary: "Which factors the account has",
    request: {},
    responses: { 200: securityOverview },
    errors: [],
    handler: async ({ principal: { accountId, authenticatedAt } }) => {
      const totp = await ports.factors.totp(accountId);
      const passkeys = await ports.factors.passkeysOf(accountId);
      const until = new Date((authenticatedAt?.getTime() ?? 0) + proofAgeMaxMs);
      return {
        status: 200,
        body: {
          totp: totp?.confirmed === true,
          recoveryCodesLeft: await ports.factors.recoveryCodesLeft(accountId),
          passkeys: passkeys.map(toApiPasskey),
          reauthenticatedUntil: until > ports.clock.now() ? until.toISOString() : null,
        },
      };
    },
  });
}

function passwordRoute(deps: RouteDeps): Route {
  const { ports } = deps;
  return defineRoute({
    ...change,
    operationId: "changePassword",
    method: "POST",
    path: "/api/auth/password",
    summary: "Set another password; every other session ends",
    request: { body: passwordChangeBody },
    responses: { 200: accountResponse },
    errors: ["password_too_common", "overloaded", "session_required"],
    handler: async ({ principal, body, req }) => {
      const account = await accountOrGone(ports, principal);
      const changed = await changePassword(ports, account, principal.sessionId, body.password);
      if (!changed.ok) throw refusalOf(changed);
      const session = await ports.sessions.find(changed.value);
      return {
        status: 200,
        body: { account: toApiAccount(account, session?.factor ?? "password") },
        cookies: [await replacedCookie(deps, account, changed.value, { req })],
      };
    },
  });
}

function totpRoutes(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  return [
    defineRoute({
      ...change,
      enrolment: true,
      operationId: "beginTotp",
      method: "POST",
      path: "/api/auth/totp",
      summary: "A secret for an authenticator app; it counts once its first code has come",
      request: {},
      responses: { 200: totpEnrolment },
      errors: ["conflict", "session_required"],
      handler: async ({ principal }) => {
        const begun = await beginTotp(ports, await accountOrGone(ports, principal));
        if (!begun.ok) throw refusalOf(begun);
        return { status: 200, body: begun.value };
      },
    }),
    defineRoute({
      ...change,
      enrolment: true,
      operationId: "confirmTotp",
      method: "POST",
      path: "/api/auth/totp/confirm",
      summary: "The first code of the app; answers recovery codes when it is the first factor",
      request: { body: totpConfirmBody },
      responses: { 200: recoveryCodes },
      errors: ["second_factor_wrong", "too_many_attempts", "session_required"],
      handler: async ({ principal, body, req }) => {
        const account = await accountOrGone(ports, principal);
        const confirmed = await confirmTotp(ports, account, body.code);
        if (!confirmed.ok) throw refusalOf(confirmed);
        return {
          status: 200,
          body: { recoveryCodes: [...(confirmed.value.recoveryCodes ?? [])] },
          cookies: [await replacedCookie(deps, account, confirmed.value.sessionId, { req })],
        };
      },
    }),
    defineRoute({
      ...change,
      operationId: "removeTotp",
      method: "DELETE",
      path: "/api/auth/totp",
      summary: "Remove the authenticator app; every other session ends",
      request: {},
      responses: { 204: null },
      errors: ["not_found", "second_factor_required", "session_required"],
      handler: async ({ principal, req }) => {
        const account = await accountOrGone(ports, principal);
        const removed = await removeFactor(ports, account, principal.sessionId, "totp");
        if (!removed.ok) throw removed.code === "not_found" ? notFound() : refusalOf(removed);
        return { status: 204, cookies: [await replacedCookie(deps, account, removed.value, { req })] };
      },
    }),
  ];
}

function codesRoute({ ports }: RouteDeps): Route {
  return defineRoute({
    ...change,
    operationId: "renewRecoveryCodes",
    method: "POST",
    path: "/api/auth/recovery-codes",
    summary: "Ten new recovery codes; the old ones die",
    request: {},
    responses: { 200: recoveryCodes },
    errors: ["conflict", "session_required"],
    handler: async ({ principal }) => {
      const renewed = await renewRecoveryCodes(ports, await accountOrGone(ports, principal));
      if (!renewed.ok) throw refusalOf(renewed);
      return { status: 200, body: { recoveryCodes: [...renewed.value] } };
    },
  });
}

function passkeyRoutes(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  return [
    defineRoute({
      ...change,
      enrolment: true,
      operationId: "passkeyAddOptions",
      method: "POST",
      path: "/api/auth/passkeys/options",
      summary: "A challenge for a new passkey; good for five minutes, once",
      request: {},
      responses: { 200: passkeyOptions },
      errors: ["session_required"],
      handler: async ({ principal }) => {
        const account = await accountOrGone(ports, principal);
        const known = await ports.factors.passkeysOf(account.accountId);
        const { challenge: value, options } = await ports.passkeys.addOptions(account, known);
        const { accountId } = account;
        const challengeId = await ports.challenges.put("passkey_add", { accountId, value }, ports.clock.now());
        return { status: 200, body: { challengeId, options } };
      },
    }),
    defineRoute({
      ...change,
      bodyLimitBytes: 65_536,
      enrolment: true,
      operationId: "addPasskey",
      method: "POST",
      path: "/api/auth/passkeys",
      summary: "Add a passkey; every other session ends",
      request: { body: passkeyAddBody },
      responses: { 201: passkeyResponse },
      errors: ["second_factor_wrong", "conflict", "session_required"],
      handler: async ({ principal, body: { challengeId, name, passkey: attestation }, req }) => {
        const account = await accountOrGone(ports, principal);
        const added = await addPasskey(ports, account, { challengeId, name, attestation });
        if (!added.ok) throw refusalOf(added);
        const { passkey, recoveryCodes: codes, sessionId } = added.value;
        return {
          status: 201,
          body: { passkey: toApiPasskey(passkey), recoveryCodes: codes && [...codes] },
          cookies: [await replacedCookie(deps, account, sessionId, { req })],
        };
      },
    }),
    defineRoute({
      ...change,
      operationId: "removePasskey",
      method: "DELETE",
      path: "/api/auth/passkeys/:passkeyId",
      summary: "Remove a passkey; every other session ends",
      request: { params: z.strictObject({ passkeyId: z.string().regex(/^[\w-]{1,2048}$/) }) },
      responses: { 204: null },
      errors: ["not_found", "second_factor_required", "session_required"],
      handler: async ({ principal, params, req }) => {
        const account = await accountOrGone(ports, principal);
        const removed = await removeFactor(ports, account, principal.sessionId, params);
        if (!removed.ok) throw removed.code === "not_found" ? notFound() : refusalOf(removed);
        return { status: 204, cookies: [await replacedCookie(deps, account, removed.value, { req })] };
      },
    }),
  ];
}
