import type { SessionId } from "@codex/kernel";
import {
  appError,
  InvalidRequestError,
  sessionCookie,
  type ErrorCode,
  type HandlerContext,
  type Principal,
  type Reply,
  type SetCookie,
} from "@codex/http";
import type { AuthPorts, StoredAccount } from "../app/ports.ts";
import { beginSession } from "../app/sessions.ts";
import type { SignedIn } from "../app/sign-in.ts";
import type { TokenSigner } from "../crypto/token-signer.ts";
import { sessionLife, type SessionFactor } from "../domain/session-rules.ts";
import { toApiAccount } from "./convert.ts";

export interface RouteDeps {
  readonly ports: AuthPorts;
  readonly signer: TokenSigner;
}

/** A browser that carries it has signed in to the account before; it says nothing else (SEC-16). */
export const deviceCookieName = "__Host-cx-device";
const deviceSeconds = 180 * 86_400;

/** Of a route that anybody may call and that signs in, or leads to it. */
export const credential = {
  auth: "public",
  owner: "none",
  rateClass: "credential",
  bodyLimitBytes: 8_192,
  logClass: "standard",
} as const;

type Refusal = { readonly code: string; readonly message: string };

/** Refusals that are about one field of the body. */
const fieldOf: Readonly<Record<string, string>> = { password_too_short: "/password", consents_missing: "/consents" };

/** The error of a use case's refusal. */
export function refusalOf({ code, message }: Refusal): Error {
  const pointer = fieldOf[code];
  if (pointer !== undefined) return new InvalidRequestError([{ pointer, message }]);
  return appError(code as ErrorCode, message);
}

export async function sessionCookieOf(
  { signer }: RouteDeps,
  account: StoredAccount,
  sessionId: SessionId,
): Promise<SetCookie> {
  return sessionCookie(await signer.sign(sessionId), sessionLife(account.role).absoluteMs / 1_000);
}

type Asked = Pick<HandlerContext, "req" | "cookies">;

/** A session and its cookies for somebody who has proved who it is. */
export async function signedInReply(
  deps: RouteDeps,
  account: StoredAccount,
  factor: SessionFactor,
  status: number,
  { req, cookies }: Asked,
): Promise<Reply> {
  const { ports } = deps;
  const sessionId = await beginSession(ports, account.accountId, factor);
  await ports.devices.put(sessionId, req.headers["user-agent"]);
  const device = ports.throttle.deviceOf(account.email, cookies[deviceCookieName]);
  return {
    status,
    body: { account: toApiAccount(account, factor) },
    cookies: [
      await sessionCookieOf(deps, account, sessionId),
      { name: deviceCookieName, value: device, maxAgeSeconds: deviceSeconds },
    ],
  };
}

/** The session, or the question for the second factor. */
export function replyOf(deps: RouteDeps, outcome: SignedIn, asked: Asked): Promise<Reply> | Reply {
  if (outcome.kind === "signed_in") return signedInReply(deps, outcome.account, outcome.factor, 200, asked);
  const { ticket, methods } = outcome;
  return { status: 200, body: { secondFactor: { ticket, methods: [...methods] } } };
}

/** The cookie of the session that took the place of the caller's. */
export async function replacedCookie(
  deps: RouteDeps,
  account: StoredAccount,
  sessionId: SessionId,
  { req }: Pick<Asked, "req">,
): Promise<SetCookie> {
  await deps.ports.devices.put(sessionId, req.headers["user-agent"]);
  return sessionCookieOf(deps, account, sessionId);
}

export async function accountOrGone(ports: AuthPorts, principal: Principal): Promise<StoredAccount> {
  const account = await ports.accounts.findById(principal.accountId);
  if (!account) throw appError("session_required", "Please sign in.");
  return account;
}
