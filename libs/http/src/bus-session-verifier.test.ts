import { jwksGet, sessionCheck, sessionCheckV2, type RpcDef } from "@codex/contracts";
import { AppError, newId, ok, refuse, type Result } from "@codex/kernel";
import { beforeAll, expect, test } from "@jest/globals";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from "jose";
import type { z } from "zod";
import { createBusSessionVerifier, type RpcCaller } from "./bus-session-verifier.ts";

const issuer = "https://codex.example";
const sessionId = newId("ses");
const accountId = newId("acc");
let cookie: string;
let key: unknown;

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  key = { ...jwk, kid, alg: "EdDSA", use: "sig" };
  cookie = await new SignJWT({ sid: sessionId })
    .setProtectedHeader({ alg: "EdDSA", typ: "session+jwt", kid })
    .setIssuer(issuer)
    .setAudience("dashboard")
    .setIssuedAt()
    .setExpirationTime("15m")
    .sign(privateKey);
});

/** The other end of the bus: answers by subject, and keeps what it was asked. */
function caller(answers: Record<string, () => unknown>): RpcCaller & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    call: async <Req extends z.ZodType, Res extends z.ZodType, Code extends string>(
      rpc: RpcDef<Req, Res, Code>,
      req: z.output<Req>,
    ) => {
      asked.push([rpc.subject, req]);
      return answers[rpc.subject]?.() as Result<z.output<Res>, Code>;
    },
  };
}

const session = {
  sessionId,
  accountId,
  role: "user",
  expiresAt: "2999-01-01T00:00:00Z",
  authenticatedAt: "2026-11-26T00:00:00Z",
};

test("given a genuine cookie, then keys and session are asked of auth", async () => {
  const bus = caller({
    [jwksGet.subject]: () => ok({ keys: [key] }),
    [sessionCheckV2.subject]: () => ok(session),
  });
  const verifier = createBusSessionVerifier(bus, issuer);
  expect(await verifier.verify(cookie)).toEqual({
    accountId,
    sessionId,
    role: "user",
    authenticatedAt: new Date("2026-11-26T00:00:00Z"),
  });
  expect(bus.asked).toEqual([
    [jwksGet.subject, {}],
    [sessionCheckV2.subject, { sessionId }],
  ]);
});

test("given that auth has ended the session, then nobody is signed in", async () => {
  const bus = caller({
    [jwksGet.subject]: () => ok({ keys: [key] }),
    [sessionCheckV2.subject]: () => refuse("session_ended", "ended"),
  });
  expect(await createBusSessionVerifier(bus, issuer).verify(cookie)).toBeNull();
});

test("given an operator who has shown no second factor, then it is told so, and is not signed out", async () => {
  const bus = caller({
    [jwksGet.subject]: () => ok({ keys: [key] }),
    [sessionCheckV2.subject]: () => refuse("second_factor_due", "none shown"),
  });
  await expect(createBusSessionVerifier(bus, issuer).verify(cookie)).rejects.toMatchObject({
    kind: "forbidden",
    code: "second_factor_due",
  });
});

test("given that auth gives no keys, then it is an outage and not a sign-out", async () => {
  const bus = caller({ [jwksGet.subject]: () => refuse("whatever", "no") });
  await expect(createBusSessionVerifier(bus, issuer).verify(cookie)).rejects.toMatchObject({
    code: "service_unavailable",
  });
});

test("given an auth of the version before, then it is asked in its own words, and no proof is fresh", async () => {
  const noResponders = new AppError({
    kind: "unavailable",
    code: "service_unavailable",
    publicMessage: "nobody answers",
    cause: { isNoResponders: () => true },
  });
  const old = { sessionId, accountId, role: "user", expiresAt: "2999-01-01T00:00:00Z" };
  const bus = caller({
    [jwksGet.subject]: () => ok({ keys: [key] }),
    [sessionCheckV2.subject]: () => {
      throw noResponders;
    },
    [sessionCheck.subject]: () => ok(old),
  });
  expect(await createBusSessionVerifier(bus, issuer).verify(cookie)).toEqual({ accountId, sessionId, role: "user" });
});
