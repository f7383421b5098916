import type { SessionVerifier } from "@codex/http";
import type { AuthPorts } from "../app/ports.ts";
import { checkSession } from "../app/sessions.ts";
import type { TokenSigner } from "../crypto/token-signer.ts";

/** A month: a token may have run out long ago; the row says whether the session lives. */
export const expiredTokenSeconds = 31 * 86_400;

/** Auth's own verifier: unlike the other services it takes a token that has run out, because it is the one that renews it. */
export function ownSessions(ports: AuthPorts, signer: TokenSigner): SessionVerifier {
  return {
    async verify(cookie) {
      if (cookie === undefined) return null;
      const token = await signer.open(cookie, expiredTokenSeconds);
      if (!token) return null;
      const session = await checkSession(ports, token.sessionId);
      if (!session.ok) return null;
      const { accountId, sessionId, role, authenticatedAt, secondFactorDue } = session.value;
      return { accountId, sessionId, role, authenticatedAt, secondFactorDue };
    },
  };
}
