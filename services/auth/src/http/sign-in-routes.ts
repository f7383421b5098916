import {
  accountResponse,
  jwksGet,
  passkeyOptions,
  passkeySignInBody,
  reauthenticateBody,
  secondFactorBody,
  signInBody,
  signInResponse,
} from "@codex/contracts";
import { clearedSessionCookie, defineRoute, sessionCookieName, type Route } from "@codex/http";
import { reauthenticate } from "../app/manage-account.ts";
import { endSession } from "../app/sessions.ts";
import { finishSignIn, signIn, signInByPasskey } from "../app/sign-in.ts";
import { tokenRenewAfterSeconds } from "../domain/session-rules.ts";
import { toApiAccount } from "./convert.ts";
import { expiredTokenSeconds } from "./own-sessions.ts";
import {
  accountOrGone,
  credential,
  deviceCookieName,
  refusalOf,
  replyOf,
  sessionCookieOf,
  type RouteDeps,
} from "./replies.ts";

/** Signing in and out, and the session while it lives. */
export function signInRoutes(deps: RouteDeps): readonly Route[] {
  return [
    ...passwordRoutes(deps),
    ...passkeyRoutes(deps),
    signOutRoute(deps),
    meRoute(deps),
    proofRoute(deps),
    jwksRoute(deps),
  ];
}

function passwordRoutes(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  return [
    defineRoute({
      ...credential,
      operationId: "signIn",
      method: "POST",
      path: "/api/auth/sign-in",
      summary: "Sign in with e-mail and password; answers the account, or a ticket for the second factor",
      request: { body: signInBody },
      responses: { 200: signInResponse },
      errors: ["invalid_credentials", "account_frozen", "too_many_attempts", "sign_in_link_required", "overloaded"],
      handler: async ({ body, clientIp, req, cookies }) => {
        const outcome = await signIn(ports, { ...body, clientIp, device: cookies[deviceCookieName] });
        if (!outcome.ok) throw refusalOf(outcome);
        return replyOf(deps, outcome.value, { req, cookies });
      },
    }),
    defineRoute({
      ...credential,
      bodyLimitBytes: 32_768,
      operationId: "finishSignIn",
      method: "POST",
      path: "/api/auth/sign-in/second-factor",
      summary: "The second step: a code of the app, a recovery code, or a passkey",
      request: { body: secondFactorBody },
      responses: { 200: signInResponse },
      errors: ["sign_in_expired", "second_factor_wrong", "account_frozen", "too_many_attempts"],
      handler: async ({ body, req, cookies }) => {
        const outcome = await finishSignIn(ports, body.ticket, body.proof);
        if (!outcome.ok) throw refusalOf(outcome);
        return replyOf(deps, outcome.value, { req, cookies });
      },
    }),
  ];
}

function passkeyRoutes(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  return [
    defineRoute({
      ...credential,
      operationId: "passkeySignInOptions",
      method: "POST",
      path: "/api/auth/passkey/options",
      summary: "A challenge for any passkey of this origin; good for five minutes, once",
      request: {},
      responses: { 200: passkeyOptions },
      errors: ["too_many_attempts"],
      handler: async ({ clientIp }) => {
        await ports.throttle.admitAnonymous(clientIp);
        const { challenge: value, options } = await ports.passkeys.signInOptions();
        const challengeId = await ports.challenges.put("passkey", { accountId: undefined, value }, ports.clock.now());
        return { status: 200, body: { challengeId, options } };
      },
    }),
    defineRoute({
      ...credential,
      bodyLimitBytes: 32_768,
      operationId: "signInByPasskey",
      method: "POST",
      path: "/api/auth/passkey/sign-in",
      summary: "Sign in with a passkey alone",
      request: { body: passkeySignInBody },
      responses: { 200: signInResponse },
      errors: ["second_factor_wrong", "account_frozen"],
      handler: async ({ body, req, cookies }) => {
        const outcome = await signInByPasskey(ports, body.challengeId, body.passkey);
        if (!outcome.ok) throw refusalOf(outcome);
        return replyOf(deps, outcome.value, { req, cookies });
      },
    }),
  ];
}

function signOutRoute({ ports }: RouteDeps): Route {
  return defineRoute({
    enrolment: true,
    operationId: "signOut",
    method: "POST",
    path: "/api/auth/sign-out",
    summary: "End this session",
    auth: "session",
    owner: "account",
    rateClass: "write",
    bodyLimitBytes: 1_024,
    logClass: "standard",
    request: {},
    responses: { 204: null },
    errors: [],
    handler: async ({ principal }) => {
      await endSession(ports, principal.sessionId);
      return {
        status: 204,
        cookies: [clearedSessionCookie()],
        // Not "cookies": the one by which this browser stays known for the account would go with them (SEC-16).
        headers: { "clear-site-data": '"cache", "storage"' },
      };
    },
  });
}

function meRoute(deps: RouteDeps): Route {
  const { ports, signer } = deps;
  return defineRoute({
    enrolment: true,
    operationId: "me",
    method: "GET",
    path: "/api/auth/me",
    summary: "Who is signed in; renews the session's token",
    auth: "session",
    owner: "account",
    rateClass: "read",
    bodyLimitBytes: 0,
    logClass: "quiet",
    request: {},
    responses: { 200: accountResponse },
    errors: ["session_required"],
    handler: async ({ principal, cookies }) => {
      const account = await accountOrGone(ports, principal);
      const session = await ports.sessions.find(principal.sessionId);
      const body = { account: toApiAccount(account, session?.factor ?? "password") };
      const token = await signer.open(cookies[sessionCookieName] ?? "", expiredTokenSeconds);
      if (token && token.ageSeconds < tokenRenewAfterSeconds) return { status: 200, body };
      return { status: 200, body, cookies: [await sessionCookieOf(deps, account, principal.sessionId)] };
    },
  });
}

function proofRoute({ ports }: RouteDeps): Route {
  return defineRoute({
    enrolment: true,
    operationId: "reauthenticate",
    method: "POST",
    path: "/api/auth/reauthenticate",
    summary: "Prove again who it is; for five minutes sensitive actions are open",
    auth: "session",
    owner: "account",
    rateClass: "credential",
    bodyLimitBytes: 32_768,
    logClass: "standard",
    request: { body: reauthenticateBody },
    responses: { 204: null },
    errors: ["invalid_credentials", "second_factor_wrong", "too_many_attempts", "sign_in_link_required", "overloaded"],
    handler: async ({ principal, body, clientIp, cookies }) => {
      const account = await accountOrGone(ports, principal);
      const from = { clientIp, device: cookies[deviceCookieName] };
      const proved = await reauthenticate(ports, account, principal.sessionId, body, from);
      if (!proved.ok) throw refusalOf(proved);
      return { status: 204 };
    },
  });
}

function jwksRoute({ signer }: RouteDeps): Route {
  return defineRoute({
    operationId: "jwks",
    method: "GET",
    path: "/api/auth/jwks.json",
    summary: "Public keys that verify session cookies and receipts (RFC 7517)",
    auth: "public",
    owner: "none",
    rateClass: "none",
    bodyLimitBytes: 0,
    logClass: "quiet",
    request: {},
    responses: { 200: jwksGet.res },
    errors: [],
    handler: () => Promise.resolve({ status: 200, body: { keys: [...signer.jwks] } }),
  });
}
