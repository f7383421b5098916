import { accountResponse, problem } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { eventually, freePort, testInfra } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { BcryptPool } from "../src/crypto/bcrypt-pool.ts";
import { passwordHasher, pepperOf } from "../src/crypto/password-hasher.ts";
import { comparable, type Answer, type Harness } from "./_harness.ts";
import {
  consents,
  cookieOf,
  freshAddress,
  freshEmail,
  ownCost,
  password,
  register,
  secrets,
  signIn,
  startAuth,
} from "./_util.ts";

let world: Harness;

beforeAll(async () => {
  world = await startAuth({}, ownCost);
});
afterAll(() => world.stop());

const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status);

describe("POST /api/auth/sign-in", () => {
  test("200: given an account, when its address comes in other letters, then it is signed in by a session of its own", async () => {
    const email = freshEmail();
    const { accountId, cookie: first } = await register(world, email);
    const answer = await signIn(world, email.toUpperCase());
    expect(answer.status).toBe(200);
    expect(accountResponse.parse(answer.body).account).toMatchObject({ accountId, email });
    expect(answer.text).not.toMatch(/hash|password|bcrypt/i);
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-cx=\S+; Max-Age=2592000; Path=\/; Secure; HttpOnly; SameSite=Strict$/),
      expect.stringMatching(/^__Host-cx-device=\S+; Max-Age=15552000; Path=\/; Secure; HttpOnly; SameSite=Strict$/),
    ]);
    expect(cookieOf(answer)).not.toBe(first);
    const sessions = await world.query("select id from session where account_id = $1", [idToUuid(accountId)]);
    expect(sessions).toHaveLength(2);
  });

  test("401: given an unknown address and a wrong password, when each signs in, then the answers are equal in every byte", async () => {
    const email = freshEmail();
    await register(world, email);
    const wrong = await signIn(world, email, `${password}?`);
    const unknown = await signIn(world, freshEmail(), `${password}?`);
    expect(wrong).toMatchObject({ status: 401, body: { code: "invalid_credentials" } });
    expect(comparable(unknown)).toEqual(comparable(wrong));
    expect(wrong.headers.getSetCookie()).toEqual([]);
  });

  test.each([
    ["an unknown field", { email: "a@example.org", password, remember: true }],
    ["an empty password", { email: "a@example.org", password: "" }],
    ["a list for an address", { email: ["a@example.org"], password }],
  ])("400: given %s, when it is sent, then it is refused", async (_what, body) => {
    const answer = await world.send("POST", "/api/auth/sign-in", { body });
    expect(problem.parse(answer.body)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  test("403: given a page of another origin, when it signs somebody in, then it is refused", async () => {
    const headers = { origin: "http://localhost:8081" };
    const answer = await world.send("POST", "/api/auth/sign-in", { body: { email: freshEmail(), password }, headers });
    expect(answer).toMatchObject({ status: 403, body: { code: "csrf_rejected" } });
  });

  test("405, 413 and 415: given a wrong method, a large body and a form, when they are sent, then each has its status", async () => {
    const path = "/api/auth/sign-in";
    const body = { email: freshEmail(), password: "x".repeat(9_000) };
    const answers = [
      await world.send("DELETE", path),
      await world.send("POST", path, { body }),
      await world.send("POST", path, { text: "email=a", headers: { "content-type": "text/plain" } }),
    ];
    expect(statuses(answers)).toEqual([405, 413, 415]);
  });
});

describe("throttle", () => {
  test("429: given five failures, when the right password comes from there, then it waits; from elsewhere it signs in", async () => {
    const email = freshEmail();
    await register(world, email);
    const from = freshAddress();
    const replica = await world.startReplica();
    const failures = [
      await signIn(world, email, "wrong 1", { from }),
      await signIn(world, email, "wrong 2", { from, to: replica }),
      await signIn(world, email, "wrong 3", { from }),
      await signIn(world, email, "wrong 4", { from, to: replica }),
      await signIn(world, email.toUpperCase(), "wrong 5", { from }),
    ];
    expect(statuses(failures)).toEqual([401, 401, 401, 401, 401]);
    const refused = await signIn(world, email, password, { from, to: replica });
    expect(refused).toMatchObject({ status: 429, body: { code: "too_many_attempts" } });
    const seconds = Number(refused.headers.get("retry-after"));
    expect(seconds).toBeGreaterThan(800);
    expect(seconds).toBeLessThanOrEqual(900);
    // The account as a whole waits a second only.
    await eventually(async () => (await signIn(world, email, password)).status === 200, {
      what: "a sign-in elsewhere",
    });
  }, 60_000);

  test("429: given an unknown address, when it fails five times, then it is throttled like a known one", async () => {
    const [email, from] = [freshEmail(), freshAddress()];
    const answers: Answer[] = [];
    for (let attempt = 0; attempt < 6; attempt += 1) answers.push(await signIn(world, email, "wrong", { from }));
    expect(statuses(answers)).toEqual([401, 401, 401, 401, 401, 429]);
  }, 60_000);

  test("429: given twelve wrong passwords at once, when they are judged, then no more than five were looked at", async () => {
    const email = freshEmail();
    await register(world, email);
    const from = freshAddress();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_none, index) => signIn(world, email, `wrong ${String(index)}`, { from })),
    );
    expect(statuses(answers).toSorted()).toEqual([...Array<number>(5).fill(401), ...Array<number>(7).fill(429)]);
  }, 60_000);

  test("200: given four failures, when the right password comes, then counting begins anew", async () => {
    const email = freshEmail();
    await register(world, email);
    const from = freshAddress();
    const given = ["wrong", "wrong", "wrong", "wrong", password, "wrong", "wrong", password];
    const answers: Answer[] = [];
    for (const text of given) answers.push(await signIn(world, email, text, { from }));
    expect(statuses(answers)).toEqual([401, 401, 401, 401, 200, 401, 401, 200]);
  }, 60_000);

  test("429: given Redis away, when somebody fails five times, then the sixth is refused, and the right password works elsewhere", async () => {
    const alone = await world.startReplica({ REDIS_URL: `redis://127.0.0.1:${String(await freePort())}` });
    const email = freshEmail();
    await register(world, email);
    const from = freshAddress();
    const answers: Answer[] = [];
    for (let attempt = 0; attempt < 6; attempt += 1) {
      answers.push(await signIn(world, email, "wrong", { from, to: alone }));
    }
    expect(statuses(answers)).toEqual([401, 401, 401, 401, 401, 429]);
    await eventually(async () => (await signIn(world, email, password, { to: alone })).status === 200, {
      what: "a sign-in elsewhere",
    });
  }, 60_000);

  test("given failures, when Redis is read, then neither the address nor the e-mail is there, and everything expires", async () => {
    const redis = new Redis(testInfra().redisUrl, { maxRetriesPerRequest: 1 });
    try {
      const [email, from] = [freshEmail(), freshAddress()];
      await signIn(world, email, "wrong", { from });
      const keys = await redis.keys("auth:fail:*");
      expect(keys.length).toBeGreaterThanOrEqual(2);
      expect(keys.filter((key) => key.includes(email) || key.includes(from))).toEqual([]);
      const lives = await Promise.all(keys.map((key) => redis.pttl(key)));
      // -2: it has expired meanwhile, a key of another file's tests; -1 would be one that never does.
      expect(lives.filter((ms) => ms === -1 || ms > 30 * 86_400_000)).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });
});

describe("hashing", () => {
  test("503: given eighty sign-ins and ten registrations at once, when two threads hash, then some of each are refused at once and the others served", async () => {
    const email = freshEmail();
    await register(world, email);
    const signIns = Array.from({ length: 80 }, () => signIn(world, freshEmail(), "wrong"));
    const registrations = Array.from({ length: 10 }, () =>
      world.send("POST", "/api/auth/register", { body: { email: freshEmail(), password, consents } }),
    );
    const flood = Promise.all([...signIns, ...registrations]);
    const state = { isOver: false };
    void flood.finally(() => {
      state.isOver = true;
    });
    const waits: number[] = [];
    while (!state.isOver) {
      const startedMs = performance.now();
      expect((await world.send("GET", "/api/auth/jwks.json")).status).toBe(200);
      waits.push(performance.now() - startedMs);
    }
    const answers = await flood;
    const overloaded = answers.filter(({ status }) => status === 503);
    expect(overloaded.every(({ body }) => body["code"] === "overloaded")).toBe(true);
    expect(overloaded[0]?.headers.get("retry-after")).toBe("3");
    expect(new Set(statuses(answers.slice(0, 80)))).toEqual(new Set([401, 503]));
    expect(statuses(answers.slice(80))).toContain(503);
    // Two threads and a queue of fifty, and nothing else came out of it.
    expect(answers.length - overloaded.length).toBeGreaterThanOrEqual(52);
    const created = answers.slice(80).filter(({ status }) => status === 202);
    expect(created.length + answers.slice(80).filter(({ status }) => status === 503).length).toBe(10);
    // One hash on the event loop would hold each of these up for longer than this.
    expect(waits.length).toBeGreaterThan(20);
    expect(waits.toSorted((left, right) => left - right)[Math.floor(waits.length / 2)]).toBeLessThan(150);
    expect((await signIn(world, email)).status).toBe(200);
    expect((await signIn(world, freshEmail())).status).toBe(401);
  }, 300_000);
});

describe("stored hashes", () => {
  test("200: given a hash of a lower cost, when its owner signs in, then the row has the current cost and works", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    const pool = new BcryptPool(1);
    const pepper = pepperOf(secrets["AUTH_PASSWORD_PEPPER"] ?? "");
    const cheap = await passwordHasher({ pool, peppers: [pepper], cost: 4 }).hash(password);
    await pool.close();
    await world.query("update account set password_hash = $1 where id = $2", [cheap, idToUuid(accountId)]);
    expect((await signIn(world, email, "wrong")).status).toBe(401);
    expect(await hashOf(accountId)).toBe(cheap);
    expect((await signIn(world, email)).status).toBe(200);
    expect(await hashOf(accountId)).toMatch(/\$2b\$12\$/);
    expect((await signIn(world, email)).status).toBe(200);
  });

  test("200: given a new pepper with the old one kept, when the owner signs in, then the hash is renewed and needs the old one no more", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    const before = await hashOf(accountId);
    const next = "d7w2-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
    const old = secrets["AUTH_PASSWORD_PEPPER"] ?? "";
    const bare = await world.startReplica({ AUTH_PASSWORD_PEPPER: next });
    expect((await signIn(world, email, password, { to: bare })).status).toBe(401);
    const kept = await world.startReplica({ AUTH_PASSWORD_PEPPER: next, AUTH_PASSWORD_PEPPER_PREVIOUS: old });
    expect((await signIn(world, email, password, { to: kept })).status).toBe(200);
    expect(await hashOf(accountId)).not.toBe(before);
    expect((await signIn(world, email, password, { to: bare })).status).toBe(200);
  });
});

async function hashOf(accountId: string): Promise<string | undefined> {
  const rows = await world.query<{ password_hash: string }>("select password_hash from account where id = $1", [
    idToUuid(accountId),
  ]);
  return rows[0]?.password_hash;
}
