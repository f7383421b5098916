import { AppError, ManualClock, newId, ok, refuse, type Result, type SessionId } from "@codex/kernel";
import { beforeAll, describe, expect, test } from "@jest/globals";
import {
  calculateJwkThumbprint,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  SignJWT,
  type JSONWebKeySet,
  type JWTPayload,
} from "jose";
import { createSessionVerifier, type SessionFacts, type SessionVerifier } from "./session.ts";

const issuer = "https://codex.example";
const start = new Date("2026-11-23T12:00:00Z");
const now = Math.floor(start.getTime() / 1_000);
const sid = newId("ses");
const accountId = newId("acc");

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;
let keys: Keys;
let other: Keys;
let kid: string;
let spki: string;
let jwks: JSONWebKeySet;

async function jwksOf(pair: Keys): Promise<JSONWebKeySet["keys"][number]> {
  const jwk = await exportJWK(pair.publicKey);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: "EdDSA", use: "sig" };
}

beforeAll(async () => {
  keys = await generateKeyPair("EdDSA", { extractable: true });
  other = await generateKeyPair("EdDSA", { extractable: true });
  const jwk = await jwksOf(keys);
  kid = jwk.kid ?? "";
  spki = await exportSPKI(keys.publicKey);
  jwks = { keys: [jwk] };
});

interface TokenChanges {
  readonly header?: Record<string, unknown>;
  readonly claims?: JWTPayload;
  readonly without?: readonly string[];
  readonly pair?: Keys;
}

async function token({ header = {}, claims = {}, without = [], pair = keys }: TokenChanges = {}): Promise<string> {
  const payload: JWTPayload = { iss: issuer, aud: "dashboard", sid, iat: now, exp: now + 900, ...claims };
  const kept = Object.fromEntries(Object.entries(payload).filter(([name]) => !without.includes(name)));
  return new SignJWT(kept)
    .setProtectedHeader({ alg: "EdDSA", typ: "session+jwt", kid, ...header })
    .sign(pair.privateKey);
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

interface Bench {
  readonly verifier: SessionVerifier;
  readonly clock: ManualClock;
  readonly calls: { jwks: number; check: SessionId[] };
}

function bench(
  options: {
    fetchJwks?: () => Promise<JSONWebKeySet>;
    check?: (sessionId: SessionId) => Promise<Result<SessionFacts>>;
  } = {},
): Bench {
  const clock = new ManualClock(start);
  const calls: Bench["calls"] = { jwks: 0, check: [] };
  const verifier = createSessionVerifier({
    issuer,
    clock,
    fetchJwks: () => {
      calls.jwks += 1;
      return options.fetchJwks ? options.fetchJwks() : Promise.resolve(jwks);
    },
    check: (sessionId) => {
      calls.check.push(sessionId);
      return options.check
        ? options.check(sessionId)
        : Promise.resolve(ok({ accountId, role: "user", expiresAt: "2026-11-24T12:00:00Z" }));
    },
  });
  return { verifier, clock, calls };
}

test("given a genuine token, then the principal of its session, asked each time", async () => {
  const { verifier, calls } = bench();
  expect(await verifier.verify(await token())).toEqual({ accountId, sessionId: sid, role: "user" });
  expect(await verifier.verify(await token())).toEqual({ accountId, sessionId: sid, role: "user" });
  expect(calls).toEqual({ jwks: 1, check: [sid, sid] });
});

describe("what is no session", () => {
  const table: [string, () => Promise<string | undefined>][] = [
    ["no cookie", async () => undefined],
    ["an empty cookie", async () => ""],
    ["garbage", async () => "a.b.c"],
    ["a very long cookie", async () => "a".repeat(5_000)],
    [
      "alg none",
      async () => `${part({ alg: "none", typ: "session+jwt", kid })}.${(await token()).split(".")[1] ?? ""}.`,
    ],
    [
      "HS256 with the public key as secret",
      async () =>
        new SignJWT({ iss: issuer, aud: "dashboard", sid, iat: now, exp: now + 900 })
          .setProtectedHeader({ alg: "HS256", typ: "session+jwt", kid })
          .sign(new TextEncoder().encode(spki)),
    ],
    ["another signer with our kid", () => token({ pair: other })],
    ["an unknown kid", () => token({ header: { kid: "x" }, pair: other })],
    ["no kid", () => token({ header: { kid: undefined } })],
    [
      "its own key in the header",
      async () => token({ header: { kid: "x", jwk: await jwksOf(other), jku: "https://evil.example" }, pair: other }),
    ],
    ["a wrong typ", () => token({ header: { typ: "JWT" } })],
    ["no typ", () => token({ header: { typ: undefined } })],
    ["a wrong audience", () => token({ claims: { aud: "api" } })],
    ["no audience", () => token({ without: ["aud"] })],
    ["a wrong issuer", () => token({ claims: { iss: "https://evil.example" } })],
    ["no issuer", () => token({ without: ["iss"] })],
    ["no exp", () => token({ without: ["exp"] })],
    ["no iat", () => token({ without: ["iat"] })],
    ["no sid", () => token({ without: ["sid"] })],
    ["a sid of another kind", () => token({ claims: { sid: newId("acc") } })],
    ["a sid that is no text", () => token({ claims: { sid: { $ne: "" } } })],
    ["an exp in the past", () => token({ claims: { iat: now - 100, exp: now - 10 } })],
    ["an iat in the future", () => token({ claims: { iat: now + 60 } })],
    ["a life of more than 15 minutes", () => token({ claims: { iat: now - 1_000, exp: now + 90_000 } })],
    [
      "an unknown crit",
      async () => {
        const [, payload = "", signature = ""] = (await token()).split(".");
        return `${part({ alg: "EdDSA", typ: "session+jwt", kid, crit: ["x"], x: 1 })}.${payload}.${signature}`;
      },
    ],
    [
      "an altered payload",
      async () => {
        const [header = "", , signature = ""] = (await token()).split(".");
        return `${header}.${part({ iss: issuer, aud: "dashboard", sid: newId("ses"), iat: now, exp: now + 900 })}.${signature}`;
      },
    ],
  ];

  test.each(table)("given %s, then null, and auth is not asked", async (_name, make) => {
    const { verifier, calls } = bench();
    // The keys are known, so that the answer cannot come from their absence.
    await verifier.verify(await token());
    expect(await verifier.verify(await make())).toBeNull();
    expect(calls.check).toEqual([sid]);
  });

  test("given a token that was good, when its time is over, then null", async () => {
    const { verifier, clock } = bench();
    const cookie = await token();
    clock.advance(899_000);
    expect(await verifier.verify(cookie)).not.toBeNull();
    clock.advance(10_000);
    expect(await verifier.verify(cookie)).toBeNull();
  });

  test.each([
    ["ended", () => Promise.resolve(refuse("session_ended", "ended"))],
    ["past its end", () => Promise.resolve(ok({ accountId, role: "admin" as const, expiresAt: start.toISOString() }))],
    ["without a readable end", () => Promise.resolve(ok({ accountId, role: "admin" as const, expiresAt: "soon" }))],
  ])("given a session that is %s, then null", async (_name, check) => {
    expect(await bench({ check }).verifier.verify(await token())).toBeNull();
  });
});

describe("the keys", () => {
  test("given many unknown kids, then the keys are fetched once in 30 s", async () => {
    const { verifier, calls, clock } = bench();
    await verifier.verify(await token());
    clock.advance(30_000);
    const strange = await Promise.all([1, 2, 3, 4, 5].map((n) => token({ header: { kid: `k${n}` }, pair: other })));
    await Promise.all(strange.map((cookie) => verifier.verify(cookie)));
    for (const cookie of strange) await verifier.verify(cookie);
    expect(calls.jwks).toBe(2);
    clock.advance(29_999);
    await verifier.verify(strange[0]);
    expect(calls.jwks).toBe(2);
    clock.advance(1);
    await verifier.verify(strange[0]);
    expect(calls.jwks).toBe(3);
  });

  test("given a new signing key, then its first token makes the keys be fetched again", async () => {
    const added = await jwksOf(other);
    let current = jwks;
    const { verifier, clock } = bench({ fetchJwks: () => Promise.resolve(current) });
    await verifier.verify(await token());
    current = { keys: [...jwks.keys, added] };
    clock.advance(31_000);
    const claims = { iat: now + 31, exp: now + 931 };
    expect(await verifier.verify(await token({ header: { kid: added.kid }, pair: other, claims }))).not.toBeNull();
  });

  test("given a key that auth no longer publishes, then it is forgotten within a minute", async () => {
    let current = jwks;
    const { verifier, clock } = bench({ fetchJwks: () => Promise.resolve(current) });
    expect(await verifier.verify(await token())).not.toBeNull();
    current = { keys: [] };
    clock.advance(50_001);
    expect(await verifier.verify(await token({ claims: { iat: now + 600, exp: now + 900 } }))).toBeNull();
  });

  test("given keys of another type in the set, then they are not used", async () => {
    const rsa = await generateKeyPair("RS256", { extractable: true });
    const jwk = { ...(await exportJWK(rsa.publicKey)), kid: "rsa", alg: "RS256" };
    const { verifier } = bench({ fetchJwks: () => Promise.resolve({ keys: [jwk, ...jwks.keys] }) });
    const forged = await new SignJWT({ iss: issuer, aud: "dashboard", sid, iat: now, exp: now + 900 })
      .setProtectedHeader({ alg: "RS256", typ: "session+jwt", kid: "rsa" })
      .sign(rsa.privateKey);
    expect(await verifier.verify(forged)).toBeNull();
    expect(await verifier.verify(await token())).not.toBeNull();
  });
});

describe("when auth does not answer", () => {
  const outage = (): Promise<never> => Promise.reject(new Error("no responders"));
  const unavailable = expect.objectContaining({ kind: "unavailable", code: "service_unavailable" });

  test("given no keys yet, then service_unavailable, not a sign-out; and a second later it is tried again", async () => {
    let isDown = true;
    const { verifier, clock, calls } = bench({ fetchJwks: () => (isDown ? outage() : Promise.resolve(jwks)) });
    await expect(verifier.verify(await token())).rejects.toEqual(unavailable);
    await expect(verifier.verify(await token())).rejects.toBeInstanceOf(AppError);
    expect(calls.jwks).toBe(1);
    isDown = false;
    clock.advance(1_000);
    expect(await verifier.verify(await token())).not.toBeNull();
  });

  test("given keys from before, then they are used on", async () => {
    let isDown = false;
    const { verifier, clock } = bench({ fetchJwks: () => (isDown ? outage() : Promise.resolve(jwks)) });
    await verifier.verify(await token());
    isDown = true;
    clock.advance(50_001);
    expect(await verifier.verify(await token({ claims: { iat: now + 40, exp: now + 900 } }))).not.toBeNull();
  });

  test("given that the session cannot be asked for, then service_unavailable", async () => {
    await expect(bench({ check: outage }).verifier.verify(await token())).rejects.toEqual(unavailable);
  });
});
