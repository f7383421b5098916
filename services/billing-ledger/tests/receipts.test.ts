import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { receiptJwks, receiptTokenType, signedReceipt, usageReceipt } from "@codex/contracts";
import { idToUuid, newId, type AccountId, type RequestId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet, type JWTVerifyResult } from "jose";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { accountIn, fund, origin, settings, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let owner: AccountId;
let cookie: string;
let requestId: RequestId;

beforeAll(async () => {
  world = await startWorld();
  owner = accountIn(5);
  cookie = await world.auth.signIn(owner);
  await fund(world, owner, { paid: 1_000n, bonus: 100n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(owner, 500n);
  const record = worker.usage(owner, leaseId, { input: 10, output: 2 });
  requestId = record.requestId;
  await worker.send([record]);
  await worker.confirmed(5, 1);
});
afterAll(() => world.stop());

async function text(path: string, withCookie?: string): Promise<{ status: number; text: string; type: string | null }> {
  const headers = withCookie === undefined ? {} : { cookie: withCookie };
  const answer = await fetch(`${world.service.httpUrl ?? ""}${path}`, { headers, signal: AbortSignal.timeout(5_000) });
  return { status: answer.status, text: await answer.text(), type: answer.headers.get("content-type") };
}

const jwsPath = (id: string): string => `/api/billing/usage/${id}/receipt.jws`;

/** As a customer would: the published keys, nothing else. */
async function verify(jws: string): Promise<JWTVerifyResult> {
  const keys = JSON.parse((await text("/api/billing/.well-known/jwks.json")).text) as JSONWebKeySet;
  return jwtVerify(jws, createLocalJWKSet(keys), { algorithms: ["EdDSA"], issuer: origin, typ: receiptTokenType });
}

describe("GET /api/billing/usage/:requestId", () => {
  test("200: given a charge from two buckets, when its receipt is read, then the formula gives the charge and both transfers are named", async () => {
    const receipt = usageReceipt.parse((await world.get(`/api/billing/usage/${requestId}`, cookie)).body);
    expect(receipt.formula).toContain("rounded half-even once");
    expect([receipt.computed, receipt.charged]).toEqual([145n, 145n]);
    // Again by hand, as the formula says: the exact lines have twelve digits.
    const exact = receipt.lines.reduce((sum, line) => sum + BigInt(line.exact.replace(".", "")), 0n);
    expect(exact).toBe(145n * 1_000_000n);
    expect(receipt.transfers.map(({ bucket }) => bucket)).toEqual(["bonus", "paid"]);
    expect(receipt.transferId).toBe(receipt.transfers[0]?.transferId);
    const rows = await world.query<{ amount: string }>(
      "select amount from transfer where id = any($1::uuid[]) order by amount",
      [receipt.transfers.map(({ transferId }) => idToUuid(transferId))],
    );
    expect(rows.map(({ amount }) => amount)).toEqual(["45", "100"]);
  });
});

describe("GET /api/billing/usage/:requestId/receipt.jws", () => {
  test("200: given a receipt, when it is downloaded, then the published keys verify it and it says what the plain one says", async () => {
    const answer = await text(jwsPath(requestId), cookie);
    expect([answer.status, answer.type]).toEqual([200, "application/jose"]);
    const { payload, protectedHeader } = await verify(answer.text);
    const signed = signedReceipt.parse(payload);
    expect(protectedHeader).toEqual({ alg: "EdDSA", typ: receiptTokenType, kid: expect.any(String) });
    expect(signed).toMatchObject({ iss: origin, sub: owner });
    expect(payload["receipt"]).toEqual((await world.get(`/api/billing/usage/${requestId}`, cookie)).body);
  });

  test("given any byte of it flipped, when it is verified, then it fails", async () => {
    const jws = (await text(jwsPath(requestId), cookie)).text;
    const [header = "", payload = "", signature = ""] = jws.split(".");
    for (const [place, part] of [header, payload, signature].entries()) {
      for (const index of [0, Math.floor(part.length / 2), part.length - 2]) {
        const bytes = Buffer.from(part, "base64url");
        const at = Math.min(bytes.length - 1, Math.floor((index * 3) / 4));
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        const parts = [header, payload, signature].with(place, bytes.toString("base64url"));
        await expect(verify(parts.join("."))).rejects.toThrow();
      }
    }
  });

  test("404: given somebody else's request, a missing one and one that is no id, when they are asked for, then the answers are the same bytes", async () => {
    const stranger = await world.auth.signIn(newId("acc"));
    const answers = [
      await text(jwsPath(requestId), stranger),
      await text(jwsPath(newId("req")), stranger),
      await text(jwsPath("nonsense"), stranger),
    ].map((answer) => ({ ...answer, text: answer.text.replace(/"requestId":"[^"]+"/, "") }));
    expect(answers[0]).toMatchObject({ status: 404, type: "application/problem+json" });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  test("401: given no session, when it is asked for, then it is refused", async () => {
    expect((await text(jwsPath(requestId))).status).toBe(401);
  });
});

describe("keys of receipts", () => {
  const run = promisify(execFile);
  const rotate = (): Promise<{ stdout: string }> => {
    const script = fileURLToPath(new URL("../src/rotate-receipt-key.ts", import.meta.url));
    const { DATABASE_URL, PUBLIC_ORIGIN, BILLING_RECEIPT_KEY } = settings(world.database, world.nats);
    return run(process.execPath, ["--conditions=codex:source", script], {
      env: { DATABASE_URL, PUBLIC_ORIGIN, BILLING_RECEIPT_KEY },
      timeout: 30_000,
    });
  };
  const published = async (): Promise<string[]> =>
    receiptJwks.parse((await world.get("/api/billing/.well-known/jwks.json")).body).keys.map(({ kid }) => kid);

  test("given a rotation by command, when an old receipt is verified, then its key is still published and new receipts have the new one", async () => {
    const old = (await text(jwsPath(requestId), cookie)).text;
    const before = await published();
    const { stdout } = await rotate();
    const { kid } = JSON.parse(stdout) as { kid: string };
    expect(await published()).toEqual([kid, ...before]);
    await expect(verify(old)).resolves.toBeDefined();
    // Another replica opens the new key at once; this one within half a minute.
    const replica = await world.startReplica();
    const fresh = await fetch(`${replica.httpUrl ?? ""}${jwsPath(requestId)}`, { headers: { cookie } });
    const jws = await fresh.text();
    expect(decodeProtectedHeader(jws).kid).toBe(kid);
    await expect(verify(jws)).resolves.toBeDefined();
  });

  test("given four rotations at once, when they end, then one key signs, and the others have no private half", async () => {
    await Promise.all(Array.from({ length: 4 }, rotate));
    const rows = await world.query<{ sealed: boolean; retired: boolean }>(
      "select sealed_private is not null as sealed, retired_at is not null as retired from receipt_key order by created_at desc",
    );
    expect(rows[0]).toEqual({ sealed: true, retired: false });
    expect(rows.slice(1).every((row) => !row.sealed && row.retired)).toBe(true);
  });

  test("given the table of keys, when it is looked at, then no private key is in it in the clear", async () => {
    const [row] = await world.query<{ sealed_private: string }>(
      "select sealed_private from receipt_key where sealed_private is not null",
    );
    expect(Buffer.from(row?.sealed_private ?? "", "base64").toString("latin1")).not.toContain("PRIVATE KEY");
  });

  test.each([
    ["update receipt_key set public_x = public_x"],
    ["update receipt_key set kid = kid"],
    ["delete from receipt_key"],
    ["truncate receipt_key"],
  ])(
    "given the service's role, when it tries `%s`, then it lacks the right: published keys stay",
    async (statement) => {
      const { default: pg } = await import("pg");
      const client = new pg.Client({
        connectionString: world.database.urlFor("app", "billing"),
        options: "-c search_path=billing",
      });
      await client.connect();
      try {
        await expect(client.query(statement)).rejects.toMatchObject({ code: "42501" });
      } finally {
        await client.end();
      }
    },
  );

  test("503: given a key sealed under another setting, when a receipt is to be signed, then it is refused and nothing else is", async () => {
    const other = await startWorld({ BILLING_RECEIPT_KEY: "n4Vb-Zq8_Ty2mKd6Ws1pXr9Hc5Lf3jGe7Ua" });
    try {
      await eventually(async () => (await other.query("select from receipt_key")).length === 1, {
        what: "the first key",
      });
      const [row] = await world.query<{ kid: string; public_x: string; sealed_private: string }>(
        "select kid, public_x, sealed_private from receipt_key where sealed_private is not null",
      );
      await other.query("update receipt_key set sealed_private = null, retired_at = now()");
      await other.query("insert into receipt_key (kid, public_x, sealed_private) values ($1, $2, $3)", [
        row?.kid,
        row?.public_x,
        row?.sealed_private,
      ]);
      const account = accountIn(6);
      await fund(other, account, { paid: 1_000n });
      const worker = await Worker.open(other);
      const record = worker.usage(account, await worker.lease(account, 500n), { input: 1 });
      await worker.send([record]);
      await worker.confirmed(6, 1);
      const own = await other.auth.signIn(account);
      expect((await other.get(`/api/billing/usage/${record.requestId}`, own)).status).toBe(200);
      expect(await other.get(jwsPath(record.requestId), own)).toMatchObject({
        status: 503,
        body: { code: "service_unavailable" },
      });
    } finally {
      await other.stop();
    }
  });
});
