import { accountResponse, jwksGet, registerBody, signInBody } from "@codex/contracts";
import {
  appError,
  clearedSessionCookie,
  defineRoute,
  sessionCookie,
  sessionCookieName,
  type Reply,
  type Route,
} from "@codex/http";
import type { AccountId } from "@codex/kernel";
import type { AuthPorts, StoredAccount } from "../app/ports.ts";
import { register } from "../app/register.ts";
import { beginSession, endSession } from "../app/sessions.ts";
import { signIn } from "../app/sign-in.ts";
import type { TokenSigner } from "../crypto/token-signer.ts";
import { sessionLife, tokenRenewAfterSeconds } from "../domain/session-rules.ts";
import { toApiAccount } from "./convert.ts";
import { expiredTokenSeconds } from "./own-sessions.ts";

/** The API of accounts and sessions, under /api/auth. */
export function authRoutes(ports: AuthPorts, signer: TokenSigner): readonly Route[] {
  return [
    registerRoute(ports, signer),
    signInRoute(ports, signer),
    signOutRoute(ports),
    meRoute(ports, signer),
    jwksRoute(signer),
  ];
}

const credential = {
  auth: "public",
  owner: "none",
  rateClass: "credential",
  bodyLimitBytes: 8_192,
  logClass: "standard",
} as const;

async function signedIn(ports: AuthPorts, signer: TokenSigner, account: StoredAccount, status: number): Promise<Reply> {
  const token = await signer.sign(await beginSession(ports, account.accountId));
  return {
    status,
    body: { account: toApiAccount(account) },
    cookies: [sessionCookie(token, sessionLife(account.role).absoluteMs / 1_000)],
  };
}

function registerRoute(ports: AuthPorts, signer: TokenSigner): Route {
  return defineRoute({
    ...credential,
    operationId: "register",
    method: "POST",
    path: "/api/auth/register",
    summary: "Make an account and sign in",
    request: { body: registerBody },
    responses: { 201: accountResponse },
    errors: ["email_taken", "overloaded"],
    handler: async ({ body }) => {
      const registered = await register(ports, { email: body.email, password: body.password, name: body.name });
      if (!registered.ok) throw appError("email_taken", registered.message);
      return signedIn(ports, signer, registered.value, 201);
    },
  });
}

function signInRoute(ports: AuthPorts, signer: TokenSigner): Route {
  return defineRoute({
    ...credential,
    operationId: "signIn",
    method: "POST",
    path: "/api/auth/sign-in",
    summary: "Sign in with e-mail and password",
    request: { body: signInBody },
    responses: { 200: accountResponse },
    errors: ["invalid_credentials", "too_many_attempts", "overloaded"],
    handler: async ({ body, clientIp }) => {
      const account = await signIn(ports, { ...body, clientIp });
      if (!account.ok) throw appError("invalid_credentials", account.message);
      return signedIn(ports, signer, account.value, 200);
    },
  });
}

function signOutRoute(ports: AuthPorts): Route {
  return defineRoute({
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
        headers: { "clear-site-data": '"cache", "cookies", "storage"' },
      };
    },
  });
}

function meRoute(ports: AuthPorts, signer: TokenSigner): Route {
  return defineRoute({
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
      const account = await accountOrGone(ports, principal.accountId);
      const body = { account: toApiAccount(account) };
      const token = await signer.open(cookies[sessionCookieName] ?? "", expiredTokenSeconds);
      if (token && token.ageSeconds < tokenRenewAfterSeconds) return { status: 200, body };
      const renewed = await signer.sign(principal.sessionId);
      return { status: 200, body, cookies: [sessionCookie(renewed, sessionLife(account.role).absoluteMs / 1_000)] };
    },
  });
}

async function accountOrGone(ports: AuthPorts, accountId: AccountId): Promise<StoredAccount> {
  const account = await ports.accounts.findById(accountId);
  if (!account) throw appError("session_required", "Please sign in.");
  return account;
}

function jwksRoute(signer: TokenSigner): Route {
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
