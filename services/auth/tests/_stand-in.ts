import { rpcHandler, type Bus } from "@codex/bus";
import { jwksGet, sessionCheckV2, type Role } from "@codex/contracts";
import { newId, ok, refuse, type AccountId, type SessionId } from "@codex/kernel";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from "jose";

/**
 * A stand-in for auth at the border of its contract, for tests of services that ask it: signs sessions and answers for them.
 * It keeps no account and checks no password.
 */
export interface AuthStandIn {
  /** A cookie header for a new session of the account, whose person has just proved who it is. */
  signIn(accountId: AccountId, role?: Role): Promise<string>;
  /** The same, of a person who gave the password at this time. */
  signInAt(accountId: AccountId, authenticatedAt: Date, role?: Role): Promise<string>;
  /** Every session is over; the cookies stay well signed. */
  endAll(): void;
  /** Answers nothing any more, as when auth is down. Idempotent. */
  stop(): Promise<void>;
}

export async function startAuthStandIn(bus: Bus, issuer: string): Promise<AuthStandIn> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { x = "" } = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
  const sessions = new Map<
    SessionId,
    { readonly accountId: AccountId; readonly role: Role; readonly authenticatedAt?: string }
  >();
  const service = await bus.serve({ name: "auth", version: "1.0.0", description: "stand-in" }, [
    rpcHandler(jwksGet, () =>
      Promise.resolve(ok({ keys: [{ kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" }] })),
    ),
    rpcHandler(sessionCheckV2, ({ req: { sessionId } }) => {
      const session = sessions.get(sessionId);
      if (!session) return Promise.resolve(refuse("session_ended", "the session has ended"));
      const expiresAt = new Date(Date.now() + 600_000).toISOString();
      return Promise.resolve(ok({ sessionId, authenticatedAt: new Date().toISOString(), ...session, expiresAt }));
    }),
  ]);
  const cookieOf = async (sessionId: SessionId): Promise<string> => {
    const token = await new SignJWT({ sid: sessionId })
      .setProtectedHeader({ alg: "EdDSA", kid, typ: "session+jwt" })
      .setIssuer(issuer)
      .setAudience("dashboard")
      .setIssuedAt()
      .setExpirationTime("10m")
      .sign(privateKey);
    return `__Host-cx=${token}`;
  };
  let stopping: Promise<void> | undefined;
  return {
    signIn(accountId, role = "user") {
      const sessionId = newId("ses");
      sessions.set(sessionId, { accountId, role });
      return cookieOf(sessionId);
    },
    signInAt(accountId, authenticatedAt, role = "user") {
      const sessionId = newId("ses");
      sessions.set(sessionId, { accountId, role, authenticatedAt: authenticatedAt.toISOString() });
      return cookieOf(sessionId);
    },
    endAll: () => sessions.clear(),
    stop: () => (stopping ??= service.stop()),
  };
}
