import { AppError, ManualClock } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { RequestLimiter, type WindowCount } from "./request-limiter.ts";

function setUp(count: (keyId: string) => Promise<WindowCount>, perMinute = 3) {
  const clock = new ManualClock();
  const fallbacks: unknown[] = [];
  const limiter = new RequestLimiter({ count, onFallback: (error) => fallbacks.push(error), clock }, perMinute);
  return { limiter, clock, fallbacks };
}

async function refusalOf(work: Promise<unknown>): Promise<AppError> {
  const error: unknown = await work.then(
    () => new Error("was let through"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error;
  throw error;
}

const away = (): Promise<WindowCount> => Promise.reject(new Error("Command timed out"));

test("given Redis counts, then its count decides, and the rest of the window is told", async () => {
  let used = 0;
  const { limiter, fallbacks } = setUp(() => Promise.resolve({ used: (used += 1), resetMs: 41_500 }));
  expect(await limiter.take("k")).toEqual({ limit: 3, remaining: 2, resetMs: 41_500 });
  await limiter.take("k");
  expect(await limiter.take("k")).toMatchObject({ remaining: 0 });
  const refusal = await refusalOf(limiter.take("k"));
  expect(refusal).toMatchObject({ kind: "rate_limited", code: "rate_limit_exceeded", retryAfterSeconds: 42 });
  expect(fallbacks).toEqual([]);
});

test("given a window that ends this instant, then retry-after is still a whole second", async () => {
  const { limiter } = setUp(() => Promise.resolve({ used: 4, resetMs: 0 }));
  expect((await refusalOf(limiter.take("k"))).retryAfterSeconds).toBe(1);
});

test("given Redis is away, then this worker counts alone, by key, and still refuses above the limit", async () => {
  const { limiter, clock, fallbacks } = setUp(away);
  for (let index = 0; index < 3; index += 1) await limiter.take("k");
  clock.advance(20_000);
  expect((await refusalOf(limiter.take("k"))).retryAfterSeconds).toBe(40);
  expect(await limiter.take("other")).toMatchObject({ remaining: 2 });
  expect(fallbacks).toHaveLength(5);
  clock.advance(40_000);
  expect(await limiter.take("k")).toEqual({ limit: 3, remaining: 2, resetMs: 60_000 });
});

test("given Redis comes back, then its count is used again", async () => {
  let up = false;
  const { limiter, fallbacks } = setUp(() => (up ? Promise.resolve({ used: 1, resetMs: 60_000 }) : away()));
  for (let index = 0; index < 3; index += 1) await limiter.take("k");
  up = true;
  expect(await limiter.take("k")).toMatchObject({ remaining: 2 });
  expect(fallbacks).toHaveLength(3);
});
