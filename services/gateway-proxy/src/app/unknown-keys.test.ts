import { AppError, ManualClock } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { UnknownKeys } from "./unknown-keys.ts";

function refusalOf(run: () => unknown): AppError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

test("SEC-32 given unknown keys one after the other, then as many as the limit may be asked for, and one more when its time has drained", () => {
  const clock = new ManualClock();
  const guard = new UnknownKeys(6, clock);
  for (let count = 0; count < 6; count += 1) guard.ask("192.0.2.1").end(false);
  const refusal = refusalOf(() => guard.ask("192.0.2.1"));
  expect(refusal).toMatchObject({ code: "too_many_unknown_keys", kind: "rate_limited", retryAfterSeconds: 10 });
  // Another address is another matter.
  guard.ask("192.0.2.2").end(false);
  clock.advance(10_000);
  guard.ask("192.0.2.1").end(false);
  expect(refusalOf(() => guard.ask("192.0.2.1"))).toBeDefined();
});

test("given keys that are known, or a registry that says nothing, then nobody is limited, however many are asked for at once", () => {
  const guard = new UnknownKeys(6, new ManualClock());
  const asked = Array.from({ length: 1_000 }, () => guard.ask("192.0.2.1"));
  expect(refusalOf(() => guard.ask("192.0.2.1"))).toBeDefined();
  asked.forEach((one, index) => one.end(index % 2 === 0 ? true : undefined));
  for (let count = 0; count < 100; count += 1) guard.ask("192.0.2.1").end(true);
});

test("given an address with a record, then what it asks for at the same time counts as unknown", () => {
  const guard = new UnknownKeys(6, new ManualClock());
  guard.ask("192.0.2.1").end(false);
  const asked = Array.from({ length: 5 }, () => guard.ask("192.0.2.1"));
  expect(refusalOf(() => guard.ask("192.0.2.1"))).toBeDefined();
  // Whoever had a typo once is not kept out for it: known keys free their places.
  for (const one of asked) {
    one.end(true);
    one.end(false);
  }
  guard.ask("192.0.2.1").end(true);
});

test("given many addresses of one IPv6 network, then they count as one", () => {
  const guard = new UnknownKeys(6, new ManualClock());
  for (let host = 1; host <= 6; host += 1) guard.ask(`2001:db8::${host.toString(16)}`).end(false);
  expect(refusalOf(() => guard.ask("2001:db8::ffff"))).toBeDefined();
  guard.ask("2001:db8:0:1::1").end(false);
});
