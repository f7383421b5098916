import { rpcHandler, type RpcHandler } from "@codex/bus";
import { jwksGet, sessionCheck, sessionCheckV2 } from "@codex/contracts";
import { ok, refuse } from "@codex/kernel";
import type { AuthPorts } from "../app/ports.ts";
import { checkSession } from "../app/sessions.ts";
import type { PublicJwk } from "../crypto/token-signer.ts";

/** The answers of this service on the bus. */
export function authRpcs(ports: AuthPorts, jwks: readonly PublicJwk[]): readonly RpcHandler[] {
  return [
    rpcHandler(sessionCheck, async ({ req }) => {
      const session = await checkSession(ports, req.sessionId);
      if (!session.ok) return session;
      const { sessionId, accountId, role, expiresAt, secondFactorDue } = session.value;
      if (secondFactorDue) return refuse("session_ended", "the session has shown no second factor");
      return ok({ sessionId, accountId, role, expiresAt: expiresAt.toISOString() });
    }),
    rpcHandler(sessionCheckV2, async ({ req }) => {
      const session = await checkSession(ports, req.sessionId);
      if (!session.ok) return session;
      const { sessionId, accountId, role, expiresAt, authenticatedAt, secondFactorDue } = session.value;
      if (secondFactorDue) return refuse("second_factor_due", "an operator's session has shown no second factor");
      return ok({
        sessionId,
        accountId,
        role,
        expiresAt: expiresAt.toISOString(),
        authenticatedAt: authenticatedAt.toISOString(),
      });
    }),
    rpcHandler(jwksGet, () => Promise.resolve(ok({ keys: [...jwks] }))),
  ];
}
