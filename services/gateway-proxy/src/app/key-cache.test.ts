import { AppError, generateApiKey, hashApiKey, ManualClock, newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { KeyCache, type ResolvedKey } from "./key-cache.ts";
import { UnknownKeys } from "./unknown-keys.ts";

const secret = generateApiKey("cx", "live");
const from = () => "192.0.2.1";
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

function setUp(answer: () => Promise<ResolvedKey | undefined>, unknownPerMinute = 60) {
  const clock = new ManualClock();
  const unknownKeys = new UnknownKeys(unknownPerMinute, clock);
  let asked = 0;
  const resolve = (): Promise<ResolvedKey | undefined> => {
    asked += 1;
    return answer();
  };
  return { clock, asked: () => asked, cache: new KeyCache({ resolve, unknownKeys, clock }, 5_000) };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error("was accepted"),
    (thrown: unknown) => thrown,
  );
  return error instanceof AppError ? error.code : String(error);
}

/** Every promise that can go on has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function permutations<T>(of: readonly T[]): T[][] {
  if (of.length === 0) return [[]];
  return of.flatMap((first, index) =>
    permutations([...of.slice(0, index), ...of.slice(index + 1)]).map((rest) => [first, ...rest]),
  );
}

test("SEC-32 garbage is refused without asking anybody, and without looking who sent it", async () => {
  const { cache, asked } = setUp(() => Promise.resolve(active));
  for (const text of ["", "sk-123", secret.slice(0, -1), `${secret.slice(0, -1)}!`]) {
    const address = (): string => {
      throw new Error("the address was asked for");
    };
    expect(await codeOf(cache.authenticate(text, address))).toBe("invalid_api_key");
  }
  expect(asked()).toBe(0);
});

test("a known key is asked for once; a burst of the same key too", async () => {
  const { cache, asked } = setUp(() => Promise.resolve(active));
  await Promise.all(Array.from({ length: 50 }, () => cache.authenticate(secret, from)));
  await cache.authenticate(secret, from);
  expect(asked()).toBe(1);
});

test("SEC-32 an unknown key is remembered for a short time only, ten seconds at most", async () => {
  const { cache, asked, clock } = setUp(() => Promise.resolve(undefined));
  expect(await codeOf(cache.authenticate(secret, from))).toBe("invalid_api_key");
  expect(await codeOf(cache.authenticate(secret, from))).toBe("invalid_api_key");
  expect(asked()).toBe(1);
  clock.advance(10_000);
  await codeOf(cache.authenticate(secret, from));
  expect(asked()).toBe(2);
});

test("SEC-35 past its bound an entry is not believed, even when nobody can be asked", async () => {
  let up = true;
  const unavailable = new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "down" });
  const { cache, clock } = setUp(() => (up ? Promise.resolve(active) : Promise.reject(unavailable)));
  await cache.authenticate(secret, from);
  up = false;
  clock.advance(4_999);
  await cache.authenticate(secret, from);
  clock.advance(2);
  expect(await codeOf(cache.authenticate(secret, from))).toBe("service_unavailable");
});

test("SEC-35 a lost revocation is found by the background refresh", async () => {
  let answer = active;
  const { cache, clock } = setUp(() => Promise.resolve(answer));
  await cache.authenticate(secret, from);
  answer = { ...active, status: "revoked", version: 2 };
  clock.advance(2_500);
  await cache.authenticate(secret, from);
  expect(await codeOf(cache.authenticate(secret, from))).toBe("key_revoked");
});

test("SEC-36 a fill that was under way when the key was revoked cannot bring it back", async () => {
  let deliver: (key: ResolvedKey) => void = () => undefined;
  const { cache } = setUp(() => new Promise((resolve) => (deliver = resolve)));
  const asking = codeOf(cache.authenticate(secret, from));
  cache.revoke(hashApiKey(secret), 2);
  deliver(active);
  expect(await asking).toBe("key_revoked");
  expect(cache.isRevoked(hashApiKey(secret))).toBe(true);
});

test("SEC-36 every order of fills and revocations of one key ends revoked, once the revocation was heard", async () => {
  // Each letter is one step; the first fill was asked for before the revocation, the second one after it.
  const steps = { a: "answer of the first question", b: "answer of the second", r: "tombstone", s: "the same again" };
  const orders = permutations(Object.keys(steps) as (keyof typeof steps)[]);
  expect(orders).toHaveLength(24);
  for (const order of orders) {
    const deliver: ((key: ResolvedKey) => void)[] = [];
    const { cache, clock } = setUp(() => new Promise((resolve) => void deliver.push(resolve)));
    const first = codeOf(cache.authenticate(secret, from));
    let second: Promise<string> | undefined;
    const askAgain = (): void => {
      clock.advance(5_001);
      second ??= codeOf(cache.authenticate(secret, from));
    };
    const revoked = { ...active, status: "revoked", version: 2 } as const;
    for (const step of order) {
      if (step === "a") deliver[0]?.(active);
      else if (step === "b") {
        askAgain();
        await settled();
        deliver.at(-1)?.(order.indexOf("r") < order.indexOf("b") ? revoked : active);
      } else cache.revoke(hashApiKey(secret), 2);
      await settled();
    }
    await first;
    await second;
    const last = codeOf(cache.authenticate(secret, from));
    await settled();
    // A registry that lags behind the bucket goes on saying "active": the tombstone outlasts it.
    for (const answer of deliver) answer(active);
    expect([order.join(""), await last]).toEqual([order.join(""), "key_revoked"]);
    clock.advance(60_000);
    const later = codeOf(cache.authenticate(secret, from));
    await settled();
    for (const answer of deliver) answer(active);
    expect([order.join(""), await later]).toEqual([order.join(""), "key_revoked"]);
  }
});

test("SEC-35 tombstones that come in another order, doubled, or before anybody knows the key, count all the same", async () => {
  const { cache } = setUp(() => Promise.resolve({ ...active, version: 3 }));
  cache.revoke(hashApiKey(secret), 4);
  cache.revoke(hashApiKey(secret), 2);
  expect(await codeOf(cache.authenticate(secret, from))).toBe("key_revoked");
});

test("SEC-37 a running request hears of a revocation by bucket, and of one that was lost by asking again", async () => {
  let answer = active;
  const { cache, clock } = setUp(() => Promise.resolve(answer));
  await cache.authenticate(secret, from);
  const heard: string[] = [];
  const stop = cache.onRevoked(hashApiKey(secret), () => heard.push("stopped"));
  cache.onRevoked(hashApiKey(secret), () => heard.push("running"));
  stop();
  cache.checkRunning();
  await settled();
  expect(heard).toEqual([]);
  // The tombstone is lost; no request asks any more.
  answer = { ...active, status: "revoked", version: 2 };
  clock.advance(2_001);
  cache.checkRunning();
  await settled();
  expect(heard).toEqual(["running"]);
  cache.onRevoked(hashApiKey(secret), () => heard.push("late"));
  expect(heard).toEqual(["running", "late"]);
});

test("an expired key is refused", async () => {
  const { cache, clock } = setUp(() => Promise.resolve({ ...active, expiresAt: new Date("2026-01-01T00:00:01.000Z") }));
  await cache.authenticate(secret, from);
  clock.advance(1_000);
  expect(await codeOf(cache.authenticate(secret, from))).toBe("key_expired");
});

test("SEC-32 given a thousand unknown keys of one address, then the registry is asked a bounded number of times, and known keys work on", async () => {
  let answer: ResolvedKey | undefined = active;
  const { cache, asked } = setUp(() => Promise.resolve(answer), 60);
  await cache.authenticate(secret, from);
  answer = undefined;
  const codes = new Map<string, number>();
  for (let count = 0; count < 1_000; count += 1) {
    const code = await codeOf(cache.authenticate(generateApiKey("cx", "live"), from));
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  expect(Object.fromEntries(codes)).toEqual({ invalid_api_key: 60, too_many_unknown_keys: 940 });
  expect(asked()).toBe(61);
  await expect(cache.authenticate(secret, from)).resolves.toEqual(active);
  expect(await codeOf(cache.authenticate(generateApiKey("cx", "live"), () => "192.0.2.2"))).toBe("invalid_api_key");
});

test("given a known key past its bound, then its address's unknown ones do not keep it out", async () => {
  let answer: ResolvedKey | undefined = active;
  const { cache, clock } = setUp(() => Promise.resolve(answer), 1);
  await cache.authenticate(secret, from);
  answer = undefined;
  await codeOf(cache.authenticate(generateApiKey("cx", "live"), from));
  expect(await codeOf(cache.authenticate(generateApiKey("cx", "live"), from))).toBe("too_many_unknown_keys");
  answer = active;
  clock.advance(5_001);
  await expect(cache.authenticate(secret, from)).resolves.toEqual(active);
});
