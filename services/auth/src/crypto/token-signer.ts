import { tokenSeconds } from "../domain/session-rules.ts";
import { parseId, type Clock, type SessionId } from "@codex/kernel";
import { calculateJwkThumbprint, exportJWK, jwtVerify, SignJWT, type CryptoKey, type KeyObject } from "jose";
import { createHmac, createPrivateKey, createPublicKey } from "node:crypto";

/**
 * The signed browser session: a compact JWS by Ed25519 that holds only a session id (SEC-17, SEC-18). The private key is
 * derived from a setting and never leaves this process; `kid` is the RFC 7638 thumbprint of the public key.
 */

export interface PublicJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly alg: "EdDSA";
  readonly use: "sig";
}

export interface OpenedToken {
  readonly sessionId: SessionId;
  readonly ageSeconds: number;
}

export interface TokenSigner {
  sign(sessionId: SessionId): Promise<string>;
  /**
   * The session of a token with our signature, also of one that has run out by up to `expiredSeconds`: auth makes new
   * tokens for sessions that live. Undefined for everything else; never throws.
   */
  open(token: string, expiredSeconds: number): Promise<OpenedToken | undefined>;
  readonly jwks: readonly PublicJwk[];
}

const audience = "dashboard";
const tokenType = "session+jwt";
/** What the clocks of two replicas may be apart. */
const skewSeconds = 5;
/** PKCS #8 frame of a raw Ed25519 seed (RFC 8410 §7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: PublicJwk;
}

async function derivePair(secret: string): Promise<Pair> {
  const seed = createHmac("sha256", secret).update("codex session signing key v1").digest();
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey);
  const { x } = await exportJWK(publicKey);
  if (x === undefined) throw new Error("public key without coordinate");
  const kid = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
  return { privateKey, publicKey, jwk: { kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" } };
}

/**
 * `secrets[0]` signs. The others are published and accepted too: the one before, so that nobody is signed out by a change,
 * and the one after, so that every reader and every replica knows it before the first token is signed with it (SEC-18).
 */
export async function createTokenSigner(
  secrets: readonly [string, ...string[]],
  issuer: string,
  clock: Clock,
): Promise<TokenSigner> {
  const [first, ...others] = secrets;
  const current = await derivePair(first);
  const pairs = [current, ...(await Promise.all(others.map(derivePair)))];
  const keyFor = (kid: string | undefined): KeyObject | CryptoKey => {
    const pair = pairs.find((candidate) => candidate.jwk.kid === kid);
    if (!pair) throw new Error("unknown kid");
    return pair.publicKey;
  };
  return {
    jwks: pairs.map((pair) => pair.jwk),
    sign(sessionId) {
      const nowSeconds = Math.floor(clock.now().getTime() / 1_000);
      return new SignJWT({ sid: sessionId })
        .setProtectedHeader({ alg: "EdDSA", typ: tokenType, kid: current.jwk.kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt(nowSeconds)
        .setExpirationTime(nowSeconds + tokenSeconds)
        .sign(current.privateKey);
    },
    async open(token, expiredSeconds) {
      try {
        const { payload } = await jwtVerify(token, (header) => keyFor(header.kid), {
          algorithms: ["EdDSA"],
          issuer,
          audience,
          typ: tokenType,
          requiredClaims: ["exp", "iat", "sid"],
          currentDate: clock.now(),
          clockTolerance: expiredSeconds,
        });
        const sessionId = typeof payload["sid"] === "string" ? parseId("ses", payload["sid"]) : undefined;
        if (!sessionId || payload.iat === undefined) return undefined;
        const nowSeconds = Math.floor(clock.now().getTime() / 1_000);
        // The tolerance above is for the end alone; the library grants it to the beginning as well.
        if (Math.max(payload.iat, payload.nbf ?? 0) > nowSeconds + skewSeconds) return undefined;
        return { sessionId, ageSeconds: nowSeconds - payload.iat };
      } catch {
        return undefined;
      }
    },
  };
}
