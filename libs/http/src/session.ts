import type { Role } from "@codex/contracts";
import { AppError, systemClock, type AccountId, type Clock, parseId, type Result, type SessionId } from "@codex/kernel";
import {
  errors,
  importJWK,
  jwtVerify,
  type CryptoKey,
  type JSONWebKeySet,
  type JWK,
  type JWTHeaderParameters,
} from "jose";
import { appError } from "./error-catalogue.ts";

/** Who asks. */
export interface Principal {
  readonly accountId: AccountId;
  readonly sessionId: SessionId;
  readonly role: Role;
  /** When the person last proved who it is, by password, second factor or passkey. Absent: not known, so not recently. */
  readonly authenticatedAt?: Date | undefined;
  /** An operator who has shown no second factor: only routes with `enrolment` are open (SEC-25). */
  readonly secondFactorDue?: boolean;
}

export interface SessionVerifier {
  /**
   * Null when nobody is signed in; throws AppError `second_factor_due` for an operator who has shown none, where auth says so
   * itself, and `service_unavailable` when it cannot be found out.
   */
  verify(cookie: string | undefined): Promise<Principal | null>;
}

export interface SessionFacts {
  readonly accountId: AccountId;
  readonly role: Role;
  /** RFC 3339. */
  readonly expiresAt: string;
  /** RFC 3339. */
  readonly authenticatedAt?: string | undefined;
}

export interface SessionVerifierOptions {
  /** The origin that signs: PUBLIC_ORIGIN. */
  readonly issuer: string;
  /** The public keys of auth. Called at most once in 30 s, however many unknown kids are sent. */
  fetchJwks(): Promise<JSONWebKeySet>;
  /** Asks the row, which is the truth; called once for each request. A refusal means that the session has ended. */
  check(sessionId: SessionId): Promise<Result<SessionFacts>>;
  readonly clock?: Clock;
}

/** A key that auth does not publish any more is forgotten after this at the latest: within a minute (SEC-18). */
const jwksAgeMaxMs = 50_000;
const refetchIntervalMs = 30_000;
/** As long as no key is known, nobody can sign in: ask more often, but still not once a request. */
const firstFetchIntervalMs = 1_000;
/** Life of a token; auth signs it for no longer. */
const tokenAgeMaxSeconds = 900;
const clockToleranceSeconds = 5;
const cookieLengthMax = 4_096;

/** Code of the refusal, in the answer of auth and in the one to the browser. */
const secondFactorDueCode = "second_factor_due";

export function secondFactorDue(): AppError {
  return appError(secondFactorDueCode, "Set up a second factor first: an operator's account works with one only.");
}

class UnknownKeyError extends Error {}

/** The public keys by kid. Only Ed25519 signing keys are taken; a token's own `jwk`, `jku` or `x5u` is never looked at. */
class KeyCache {
  private keys = new Map<string, CryptoKey>();
  private loadedAtMs: number | undefined;
  private triedAtMs: number | undefined;
  private loading: Promise<void> | undefined;
  private readonly fetchJwks: () => Promise<JSONWebKeySet>;
  private readonly clock: Clock;

  constructor(fetchJwks: () => Promise<JSONWebKeySet>, clock: Clock) {
    this.fetchJwks = fetchJwks;
    this.clock = clock;
  }

  async get(kid: string): Promise<CryptoKey> {
    const isOld = this.loadedAtMs !== undefined && this.clock.monotonicMs() - this.loadedAtMs > jwksAgeMaxMs;
    if (isOld || !this.keys.has(kid)) await this.reload();
    const key = this.keys.get(kid);
    if (key) return key;
    if (this.loadedAtMs === undefined) throw unavailable(undefined);
    throw new UnknownKeyError();
  }

  private async reload(): Promise<void> {
    const nowMs = this.clock.monotonicMs();
    const intervalMs = this.loadedAtMs === undefined ? firstFetchIntervalMs : refetchIntervalMs;
    const isDue = this.triedAtMs === undefined || nowMs - this.triedAtMs >= intervalMs;
    if (isDue && this.loading === undefined) {
      this.triedAtMs = nowMs;
      this.loading = this.load().finally(() => {
        this.loading = undefined;
      });
    }
    await this.loading;
  }

  private async load(): Promise<void> {
    let jwks: JSONWebKeySet;
    try {
      jwks = await this.fetchJwks();
    } catch (error) {
      // With keys at hand the old ones stay in use: the session row is asked in any case.
      if (this.loadedAtMs !== undefined) return;
      throw unavailable(error);
    }
    const keys = new Map<string, CryptoKey>();
    for (const jwk of jwks.keys) {
      const key = await importSigningKey(jwk);
      if (key && jwk.kid !== undefined) keys.set(jwk.kid, key);
    }
    this.keys = keys;
    this.loadedAtMs = this.clock.monotonicMs();
  }
}

async function importSigningKey(jwk: JWK): Promise<CryptoKey | undefined> {
  if (jwk.kty !== "OKP" || jwk.crv !== "Ed25519" || typeof jwk.x !== "string") return undefined;
  // Built from the public part alone, so that a published private part could not turn into something else.
  const key = await importJWK({ kty: "OKP", crv: "Ed25519", x: jwk.x }, "EdDSA").catch(() => undefined);
  return key instanceof Uint8Array ? undefined : key;
}

function unavailable(cause: unknown): AppError {
  return appError("service_unavailable", "Sign-in cannot be checked just now. Please try again in a moment.", {
    cause,
    retryAfterSeconds: 2,
  });
}

/** The sid of a genuine, current token. Undefined for anything else; throws only when the keys cannot be had. */
async function sessionIdOf(
  cookie: string,
  keys: KeyCache,
  issuer: string,
  clock: Clock,
): Promise<SessionId | undefined> {
  const getKey = async (header: JWTHeaderParameters): Promise<CryptoKey> => {
    if (header.alg !== "EdDSA" || typeof header.kid !== "string") throw new UnknownKeyError();
    return keys.get(header.kid);
  };
  try {
    const { payload } = await jwtVerify(cookie, getKey, {
      algorithms: ["EdDSA"],
      issuer,
      audience: "dashboard",
      typ: "session+jwt",
      requiredClaims: ["exp", "iat", "sid"],
      maxTokenAge: tokenAgeMaxSeconds,
      clockTolerance: clockToleranceSeconds,
      currentDate: clock.now(),
    });
    const sid = payload["sid"];
    return typeof sid === "string" ? parseId("ses", sid) : undefined;
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof UnknownKeyError) return undefined;
    throw error;
  }
}

/**
 * Verifies the session cookie as SEC-17 says: fixed algorithm, issuer, audience, type and required claims, own keys only;
 * then asks for the session itself, each time. Nothing is cached by the token's text, which has more than one spelling.
 */
export function createSessionVerifier(options: SessionVerifierOptions): SessionVerifier {
  const clock = options.clock ?? systemClock;
  const keys = new KeyCache(() => options.fetchJwks(), clock);
  return {
    async verify(cookie) {
      if (cookie === undefined || cookie === "" || cookie.length > cookieLengthMax) return null;
      const sessionId = await sessionIdOf(cookie, keys, options.issuer, clock);
      if (sessionId === undefined) return null;
      const result = await options.check(sessionId).catch((error: unknown) => {
        throw error instanceof AppError ? error : unavailable(error);
      });
      if (!result.ok && result.code === secondFactorDueCode) throw secondFactorDue();
      const isLive = result.ok && Date.parse(result.value.expiresAt) > clock.now().getTime();
      if (!isLive) return null;
      const { accountId, role, authenticatedAt } = result.value;
      const proved = authenticatedAt === undefined ? {} : { authenticatedAt: new Date(authenticatedAt) };
      return { accountId, sessionId, role, ...proved };
    },
  };
}
