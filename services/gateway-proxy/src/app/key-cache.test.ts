import { AppError, generateApiKey, hashApiKey, ManualClock, newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { KeyCache, type ResolvedKey } from "./key-cache.ts";

const secret = generateApiKey("cx", "live");
const active: ResolvedKey = {
  keyId: newId("key"),
  accountId: newId("acc"),
  status: "active",
  version: 1,
  models: null,
  expiresAt: null,
  caps: null,
  limits: null,
  addresses: null,
};

function setUp(answer: () => Promise<ResolvedKey | undefined>) {
  const clock = new ManualClock();
  let asked = 0;
  const resolve = (): Promise<ResolvedKey | undefined> => {
    asked += 1;
    return answer();
  };
  return { clock, asked: () => asked, cache: new KeyCache({ resolve, clock }, 5_000) };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error("was accepted"),
    (thrown: unknown) => thrown,
  );
  return error instanceof AppError ? error.code : String(error);
}

test("garbage is refused without asking anybody", async () => {
  const { cache, asked } = setUp(() => Promise.resolve(active));
  for (const text of ["", "sk-123", secret.slice(0, -1), `${secret.slice(0, -1)}!`]) {
    expect(await codeOf(cache.authenticate(text))).toBe("invalid_api_key");
  }
  expect(asked()).toBe(0);
});

test("a known key is asked for once; a burst of the same key too", async () => {
  const { cache, asked } = setUp(() => Promise.resolve(active));
  await Promise.all(Array.from({ length: 50 }, () => cache.authenticate(secret)));
  await cache.authenticate(secret);
  expect(asked()).toBe(1);
});

test("an unknown key is remembered for a short time only", async () => {
  const { cache, asked, clock } = setUp(() => Promise.resolve(undefined));
  expect(await codeOf(cache.authenticate(secret))).toBe("invalid_api_key");
  expect(await codeOf(cache.authenticate(secret))).toBe("invalid_api_key");
  expect(asked()).toBe(1);
  clock.advance(10_000);
  await codeOf(cache.authenticate(secret));
  expect(asked()).toBe(2);
});

test("past its bound an entry is not believed, even when nobody can be asked", async () => {
  let up = true;
  const unavailable = new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "down" });
  const { cache, clock } = setUp(() => (up ? Promise.resolve(active) : Promise.reject(unavailable)));
  await cache.authenticate(secret);
  up = false;
  clock.advance(4_999);
  await cache.authenticate(secret);
  clock.advance(2);
  expect(await codeOf(cache.authenticate(secret))).toBe("service_unavailable");
});

test("a lost revocation is found by the background refresh", async () => {
  let answer = active;
  const { cache, clock } = setUp(() => Promise.resolve(answer));
  await cache.authenticate(secret);
  answer = { ...active, status: "revoked", version: 2 };
  clock.advance(2_500);
  await cache.authenticate(secret);
  expect(await codeOf(cache.authenticate(secret))).toBe("key_revoked");
});

test("a fill that was under way when the key was revoked cannot bring it back", async () => {
  let deliver: (key: ResolvedKey) => void = () => undefined;
  const { cache } = setUp(() => new Promise((resolve) => (deliver = resolve)));
  const asking = codeOf(cache.authenticate(secret));
  cache.revoke(hashApiKey(secret), 2);
  deliver(active);
  expect(await asking).toBe("key_revoked");
  expect(cache.isRevoked(hashApiKey(secret))).toBe(true);
});

test("an expired key is refused", async () => {
  const { cache, clock } = setUp(() => Promise.resolve({ ...active, expiresAt: new Date("2026-01-01T00:00:01.000Z") }));
  await cache.authenticate(secret);
  clock.advance(1_000);
  expect(await codeOf(cache.authenticate(secret))).toBe("key_expired");
});
